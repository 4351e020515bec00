"""What ``workbook models`` says: which models there are, what works with each, what is here."""

from collections.abc import Iterator
from pathlib import Path

from helpers.clip import embedded, names, weights
from helpers.clip.capabilities import Capabilities, capabilities

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


def models() -> Iterator[str]:
    """Say in a line each which models there are, what works with them, and what is here.

    Yields
    ------
    str
    """
    yield OPENING
    for name in embedded.NAMES:
        yield _line(name, capabilities(name), "comes with the workbook")
    for name, folder in weights.cached_ids().items():
        yield _line(name, capabilities(name), f"here: {_short(folder)}")
    for name in names.open_clip_names():
        here = [f"{tag} ({_short(path)})" for tag, path in weights.cached_tags(name).items()]
        yield _line(name, capabilities(name), f"here: {', '.join(here)}" if here else "")
    yield "A folder of a model that transformers or open_clip saved is a model, too."


def model(name: str) -> Iterator[str]:
    """Say what works with a model, why not all, and where its weights are, tag by tag.

    Parameters
    ----------
    name : str
        As for `helpers.clip.load`.

    Yields
    ------
    str

    Raises
    ------
    WorkbookError
        If there is no such model.
    """
    named = names.resolve(name)
    known = capabilities(named.name, named.pretrained)
    yield _line(named.name, known, "")
    yield from dict.fromkeys(filter(None, map(known.lack, ("account", "texts"))))
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
