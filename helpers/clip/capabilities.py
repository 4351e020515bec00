"""What of the workbook works with a model: asked of its name, before any weights are loaded."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.checks import one_of

if TYPE_CHECKING:
    from torch.nn import Module

    from helpers.clip.weights import Weights

QUESTIONS = {
    "attention": "a map of what it looks at",
    "account": "the exact account of heads, MLPs and patches",
    "neurons": "the exact account of neurons",
    "texts": "embeddings of texts",
}
"""What a model may lack; every model gives embeddings of images, and so the shift."""

TABLE = Path(__file__).with_name("towers.csv")
"""Why each of open_clip's towers can't be taken apart; made by ``make towers``."""


@dataclass(frozen=True)
class Capabilities:
    """What a model can give."""

    model: str  # its name
    # what it can't give, of `QUESTIONS` → why, as the end of a sentence
    reasons: Mapping[str, str] = field(default_factory=dict)

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

    def lack(self, question: str) -> str:
        """Say in one sentence why the model can't answer a question; "" where it can."""
        one_of("question", question, QUESTIONS)
        if question not in self.reasons:
            return ""
        return f"{self.model} does not give {QUESTIONS[question]}: {self.reasons[question]}."


@cache
def capabilities(name: str, pretrained: str | None = None) -> Capabilities:
    """Say what a model can give, without building it.

    Parameters
    ----------
    name, pretrained : str, str or None
        As for `helpers.clip.load`. A file of weights is looked at: it may lack the text tower.

    Returns
    -------
    Capabilities

    Raises
    ------
    WorkbookError
        If there is no such model.
    """
    from helpers.clip import files, huggingface, names, tokenizers, weights

    named = names.resolve(name, pretrained)
    if named.kind == names.EMBEDDED:
        return Capabilities(named.name)
    if named.kind == names.OPEN_CLIP and not (pretrained and names.is_file(pretrained)):
        return of(named.name, *_why_no_account(named.name), tokenizers.why_not(named.name))
    found = weights.locate(named.name, named.pretrained)
    folder = found.path.parent if found.path else weights.folder(named)
    lacks_texts = _lacks_texts(found)
    if found.configuration == files.TRANSFORMERS:
        no_neurons = huggingface.lacks_neurons(folder)
        return of(named.name, None, no_neurons, huggingface.lacks_texts(folder) or lacks_texts)
    local = named.kind == names.FOLDER or weights.describes(found)
    built_as = f"{tokenizers.LOCAL}{folder}" if local else named.name
    no_texts = tokenizers.why_not(built_as) or lacks_texts
    return of(named.name, *_why_no_account(built_as), no_texts)


def _lacks_texts(found: "Weights") -> str | None:
    from helpers.clip import archives, checkpoints

    if found.path is None or archives.is_archive(found.path):
        return None
    has_texts = checkpoints.open_checkpoint(found.path, found.chosen).has_texts
    return None if has_texts else checkpoints.NO_TEXTS


def of(
    name: str, no_account: str | None, no_neurons: str | None, no_texts: str | None
) -> Capabilities:
    """Put together what is known of a model.

    Parameters
    ----------
    name : str
    no_account, no_neurons, no_texts : str or None
        Why it can't be taken apart, or not down to its neurons; why it reads no texts.

    Returns
    -------
    Capabilities
    """
    # A tower gives an attention map exactly if its pooling and blocks are known.
    found = {
        "attention": no_account,
        "account": no_account,
        "neurons": no_neurons,
        "texts": no_texts,
    }
    reasons = {question: why for question, why in found.items() if why}
    return Capabilities(name, reasons)


def why_unknown(visual: "Module") -> tuple[str | None, str | None]:
    """Say why a vision tower can't be taken apart, and why not down to its neurons."""
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
