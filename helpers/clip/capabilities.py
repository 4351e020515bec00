"""What of the workbook works with a model: asked of its name, before any weights are loaded.

`list_models` and `describe_model` are the lines of ``workbook models``.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.checks import one_of
from helpers.clip import embedded, formats, names, weights

if TYPE_CHECKING:
    from torch.nn import Module

    from helpers.clip.weights import Weights

QUESTIONS = {
    "attention": "a map of what it looks at",
    "account": "the exact account of heads, MLPs and patches",
    "neurons": "the exact account of neurons",
    "texts": "embeddings of texts",
}
"""What a model may not give; every model gives embeddings of images, and so the shift."""

TABLE = Path(__file__).with_name("towers.csv")
"""Why each of open_clip's towers can't be taken apart; made by ``make towers``."""

WORKS = {
    "shift": lambda _: True,
    "attention": lambda model: model.attention,
    "heads": lambda model: model.account,
}
"""What of the workbook works with a model: 01 to 04 and 09; 05; 02 and 06 to 08."""

OPENING = (
    "Each line: a model, what works with it (shift; attention; heads, MLPs and patches), and its"
    " weights on this machine."
)


@dataclass(frozen=True)
class Capabilities:
    """What a model can give."""

    model: str  # its name
    # what it can't give, of `QUESTIONS` → why, as the end of a sentence
    reasons: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, name: str, no_account: str | None, no_neurons: str | None, no_texts: str | None
    ) -> "Capabilities":
        """Return what a model can give, by the reasons for what it can't."""
        # A tower gives an attention map exactly if its pooling and blocks are known.
        reasons = {
            "attention": no_account,
            "account": no_account,
            "neurons": no_neurons,
            "texts": no_texts,
        }
        return cls(name, {question: reason for question, reason in reasons.items() if reason})

    @property
    def attention(self) -> bool:
        """Whether it gives `Encoding.attention`."""
        return "attention" not in self.reasons

    @property
    def account(self) -> bool:
        """Whether it gives heads, MLPs, tokens and depths, and lets heads be patched."""
        return "account" not in self.reasons

    @property
    def neurons(self) -> bool:
        """Whether it gives `Encoding.neurons`."""
        return "neurons" not in self.reasons

    @property
    def texts(self) -> bool:
        """Whether it embeds texts on this machine."""
        return "texts" not in self.reasons

    def why_not(self, question: str) -> str:
        """Return a sentence on why the model can't answer a question; "" where it can."""
        one_of("question", question, QUESTIONS)
        if question not in self.reasons:
            return ""
        return f"{self.model} does not give {QUESTIONS[question]}: {self.reasons[question]}."


@cache
def capabilities(name: str, pretrained: str | None = None) -> Capabilities:
    """Return what a model can give, without building it.

    Parameters
    ----------
    name, pretrained : str, str or None
        As for `helpers.clip.load`. A file of weights is looked at: it may have no text tower.

    Returns
    -------
    Capabilities

    Raises
    ------
    WorkbookError
        If there is no such model.
    """
    from helpers.clip import huggingface, tokenizers

    named = names.resolve(name, pretrained)
    if named.kind == names.EMBEDDED:
        return Capabilities(named.name)
    if named.kind == names.OPEN_CLIP and not (pretrained and names.is_file(pretrained)):
        return Capabilities.of(
            named.name, *_why_no_account(named.name), tokenizers.why_no_texts(named.name)
        )
    located = weights.locate(named.name, named.pretrained)
    folder = located.path.parent if located.path else weights.folder(named)
    no_texts = _why_no_texts(located)
    if located.configuration == formats.TRANSFORMERS:
        no_texts = huggingface.why_no_texts(folder) or no_texts
        return Capabilities.of(named.name, None, huggingface.why_no_neurons(folder), no_texts)
    local = named.kind == names.FOLDER or weights.describes(located)
    built_as = f"{tokenizers.LOCAL}{folder}" if local else named.name
    no_texts = tokenizers.why_no_texts(built_as) or no_texts
    return Capabilities.of(named.name, *_why_no_account(built_as), no_texts)


def _why_no_texts(located: "Weights") -> str | None:
    from helpers.clip import checkpoints

    if located.path is None or formats.is_archive(located.path):
        return None
    has_texts = checkpoints.open_checkpoint(located.path, located.chosen).has_texts
    return None if has_texts else checkpoints.NO_TEXTS


def why_unknown(visual: "Module") -> tuple[str | None, str | None]:
    """Return why a vision tower can't be taken apart, and why not down to its neurons."""
    import torch

    from helpers.clip.towers import UnknownTower, open_tower

    try:
        with torch.device("meta"):
            return None, open_tower(visual).no_neurons
    except UnknownTower as error:
        return str(error), str(error)


@cache
def _why_no_account(name: str) -> tuple[str | None, str | None]:
    known = _table()
    if name in known:
        return known[name]
    import open_clip
    import torch

    from helpers.clip.building import vision_tower

    with torch.device("meta"):
        return why_unknown(vision_tower(open_clip.get_model_config(name)))


@cache
def _table() -> dict[str, tuple[str | None, str | None]]:
    """Read what building all towers gave, which takes half a minute; ``""`` for known towers."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return {row["model"]: (row["why"] or None, row["neurons"] or None) for row in rows}


def list_models() -> Iterator[str]:
    """Yield a line on each model: what works with it, and what of it is here."""
    yield OPENING
    for name in embedded.NAMES:
        yield _line(name, capabilities(name), "comes with the workbook")
    for name, folder in weights.cached_ids().items():
        yield _line(name, capabilities(name), f"here: {_short(folder)}")
    for name in names.open_clip_names():
        here = [f"{tag} ({_short(path)})" for tag, path in weights.cached_tags(name).items()]
        yield _line(name, capabilities(name), f"here: {', '.join(here)}" if here else "")
    yield "A folder of a model that transformers or open_clip saved is a model, too."


def describe_model(name: str) -> Iterator[str]:
    """Yield lines on a model: what works with it, why not all, and where its weights are."""
    named = names.resolve(name)
    known = capabilities(named.name, named.pretrained)
    yield _line(named.name, known, "")
    yield from dict.fromkeys(filter(None, map(known.why_not, ("account", "texts"))))
    if named.kind != names.OPEN_CLIP:
        yield f"weights: {weights.locate(named.name, named.pretrained).path}"
        return
    import open_clip

    here = weights.cached_tags(named.name)
    tags = open_clip.list_pretrained_tags_by_model(named.name)
    for tag in tags:
        place = _short(here[tag]) if tag in here else "to be downloaded"
        yield f"  {tag}: {place}"
    if not tags:
        yield "  no published weights; give pretrained a local file"


def _line(name: str, known: Capabilities, where: str) -> str:
    works = [word for word, has in WORKS.items() if has(known)]
    parts = [", ".join(works), "" if known.texts else "no texts here", where]
    return f"{name}: {'; '.join(part for part in parts if part)}"


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
