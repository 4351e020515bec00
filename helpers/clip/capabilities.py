"""What of the workbook works with a model: asked of its name, before any weights are loaded."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from helpers.checks import one_of

if TYPE_CHECKING:
    from torch.nn import Module

QUESTIONS = {
    "attention": "a map of what it looks at",
    "account": "the exact account of heads, MLPs and patches",
    "texts": "embeddings of texts",
}
"""What a model may lack; every model gives embeddings of images, and so the shift."""

TABLE = Path(__file__).with_name("towers.csv")
"""Why each of open_clip's towers can't be taken apart; made by ``make towers``."""


@dataclass(frozen=True)
class Capabilities:
    """What a model can give.

    Attributes
    ----------
    model : str
        Its name.
    reasons : mapping of str to str
        What it can't give, of `QUESTIONS` → why, as the end of a sentence.
    """

    model: str
    reasons: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def attention(self) -> bool:
        """Whether it gives `Encoding.attention`."""
        return "attention" not in self.reasons

    @property
    def account(self) -> bool:
        """Whether it gives heads, MLPs, tokens and depths, and lets heads be patched."""
        return "account" not in self.reasons

    @property
    def texts(self) -> bool:
        """Whether it embeds texts on this machine."""
        return "texts" not in self.reasons

    def lack(self, question: str) -> str:
        """Say in one sentence why the model can't answer a question; "" where it can.

        Parameters
        ----------
        question : {"attention", "account", "texts"}

        Returns
        -------
        str
        """
        one_of("question", question, QUESTIONS)
        if question not in self.reasons:
            return ""
        return f"{self.model} does not give {QUESTIONS[question]}: {self.reasons[question]}."


@cache
def capabilities(name: str) -> Capabilities:
    """Say what a model can give, without its weights.

    Parameters
    ----------
    name : str
        As for `helpers.clip.load`.

    Returns
    -------
    Capabilities

    Raises
    ------
    WorkbookError
        If there is no such model.
    """
    from helpers.clip import huggingface, tokenizers, weights

    kind = weights.kind_of(name)
    if kind == weights.EMBEDDED:
        return Capabilities(name)
    if kind == weights.HUGGING_FACE:
        folder = weights.locate(name, None).parent
        return of(name, None, huggingface.lacks_texts(folder))
    return of(name, _why_no_account(name), tokenizers.why_not(name))


def of(name: str, no_account: str | None, no_texts: str | None) -> Capabilities:
    """Put together what is known of a model.

    Parameters
    ----------
    name : str
    no_account, no_texts : str or None
        Why it can't be taken apart; why it reads no texts.

    Returns
    -------
    Capabilities
    """
    # A tower gives an attention map exactly if its pooling and blocks are known.
    found = {"attention": no_account, "account": no_account, "texts": no_texts}
    reasons = {question: why for question, why in found.items() if why}
    return Capabilities(name, MappingProxyType(reasons))


def why_unknown(visual: "Module") -> str | None:
    """Say why a vision tower can't be taken apart.

    Parameters
    ----------
    visual : Module
        The vision tower of an open_clip model.

    Returns
    -------
    str or None
        The end of a sentence; None where it can.
    """
    import torch

    from helpers.clip.towers import UnknownTower, open_tower

    try:
        with torch.device("meta"):
            open_tower(visual)
    except UnknownTower as error:
        return str(error)
    return None


@cache
def _why_no_account(name: str) -> str | None:
    known = _table()
    if name in known:
        return known[name] or None
    import open_clip
    import torch

    from helpers.clip.building import vision_tower

    with torch.device("meta"):
        return why_unknown(vision_tower(open_clip.get_model_config(name)))


@cache
def _table() -> dict[str, str]:
    """Read what building all towers gave, which takes half a minute; ``""`` for known towers."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {row["model"]: row["why"] for row in csv.DictReader(file)}
