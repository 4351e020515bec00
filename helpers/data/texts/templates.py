"""Sentences that a class is put into, so that a model is asked as it was taught."""

from collections.abc import Callable, Mapping, Sequence

from helpers.checks import WorkbookError, one_of
from helpers.data.texts.pools import Texts

PLACE = "{}"
CLASS = "label"
"""The property of texts that name classes, as images' metadata call it."""

PHOTOGRAPH_PROMPTS = (PLACE, f"a picture of {PLACE}")
"""Sentences for captions of photographs, as the embedded models were taught."""


def _of_open_clip(name: str) -> Callable[[], tuple[str, ...]]:
    def written() -> tuple[str, ...]:
        import open_clip

        return tuple(write(PLACE) for write in getattr(open_clip, name))

    return written


TEMPLATES: Mapping[str, Callable[[], tuple[str, ...]]] = {
    "imagenet": _of_open_clip("OPENAI_IMAGENET_TEMPLATES"),
    "seven": _of_open_clip("SIMPLE_IMAGENET_TEMPLATES"),
    "photo": lambda: ("a photo of a {}.",),
    "picture": lambda: PHOTOGRAPH_PROMPTS,
}
"""Name → sentences: the 80 that OpenAI classified ImageNet with, the 7 best of these, one, and what
the embedded models were taught."""


def templates_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return sentences with one place for a class each."""
    if isinstance(given, str) and PLACE not in given:
        return TEMPLATES[one_of("templates", given, TEMPLATES)]()
    sentences = (given,) if isinstance(given, str) else tuple(given)
    wrong = [sentence for sentence in sentences if sentence.count(PLACE) != 1]
    if wrong or not sentences:
        raise WorkbookError(
            f"templates has no value {wrong[0] if wrong else given!r}; write {PLACE} once in each"
            f" sentence, such as 'a photo of a {PLACE}.', or choose one of {', '.join(TEMPLATES)}."
        )
    return sentences


def class_texts(classes: Sequence[str], templates: str | Sequence[str]) -> Texts:
    """Write every class into every template."""
    sentences = templates_of(templates)
    rows: dict[str, tuple[str, str]] = {}
    for name in classes:
        for sentence in sentences:
            text = sentence.replace(PLACE, name.replace("_", " "))
            rows.setdefault(text.casefold(), (text, name))
    texts, values = zip(*rows.values(), strict=True)
    return Texts("classes", texts, (CLASS,) * len(texts), values)
