"""Published facts: labels of attention heads, and what the embedding-shift study states.

Intel Labs published the labels with CLIP-InterpreT (MIT licence). The paper is "Quantifying and
Enabling the Interpretability of CLIP-like Models" (2024), arXiv 2409.06579. Layers and heads count
from 0, and each model has its last four layers here.

The labels are kept as published, with what is odd in them. Labels are free text: of 320, many name
one thing in several ways ("Location", "Locations"; "Body part", "Body parts", "Bodyparts";
"Timepiece", "Timepieces"; "Color", "Colors"; "Texture", "Textures"), a few say little ("Category",
"Pair", "Subject"), and one is a sentence ("Word starting with the letter z"). The heads of a
property are not just those with its label: for ViT-L-14 laion2b_s32b_b82k, "environment" has heads
that are labelled "Location", "Nature" and "Description". One head of ViT-L-14 openai (layer 22,
head 13) belongs to two properties, "birds" and "wildlife". Property names are plural or singular as
published ("animals", "pattern").
"""

from functools import cache
from importlib.resources import files

import pandas as pd

MODELS = (
    ("ViT-B-16", "openai"),
    ("ViT-B-16", "laion2b_s34b_b88k"),
    ("ViT-B-32", "openai"),
    ("ViT-B-32", "datacomp_m_s128m_b4k"),
    ("ViT-L-14", "openai"),
    ("ViT-L-14", "laion2b_s32b_b82k"),
)
"""The models with published labels, as open_clip names them and their weights."""


def head_labels(model: str, pretrained: str | None) -> pd.DataFrame:
    """Return the published label of each head.

    Parameters
    ----------
    model : str
        Name of the model; open_clip's ending "-quickgelu", which names the activation only, is
        ignored.
    pretrained : str or None
        Tag of its weights.

    Returns
    -------
    pandas.DataFrame
        Column label, one row per (layer, head), which are the index; empty for a model that is
        not one of `MODELS`.
    """
    return _rows_of("head_labels.csv", model, pretrained).set_index(["layer", "head"])


def property_heads(model: str, pretrained: str | None) -> pd.DataFrame:
    """Return the heads that are published as those of a property."""
    return _rows_of("property_heads.csv", model, pretrained).reset_index(drop=True)


def labelled_heads(model: str, pretrained: str | None) -> pd.DataFrame:
    """Return the published label of each head with the properties that it is published for.

    Parameters
    ----------
    model, pretrained
        As for `head_labels`.

    Returns
    -------
    pandas.DataFrame
        As of `head_labels`, with a column properties: names separated by commas, "" where none.
    """
    heads = head_labels(model, pretrained)
    listed = property_heads(model, pretrained).groupby(["layer", "head"])["property"]
    return heads.assign(properties=listed.agg(", ".join).reindex(heads.index, fill_value=""))


def shift_study() -> pd.DataFrame:
    """Return what the embedding-shift study states, to hold results against.

    Returns
    -------
    pandas.DataFrame
        Columns published and source, indexed by fact. The study is A. Dahal, S. A. Murad, N.
        Rahimi, "Embedding Shift Dissection on CLIP", CVPR-W MIV 2025, arXiv 2503.23495; the sources
        are places in it, or the code that came with it.
    """
    return _table("shift_study.csv").set_index("fact")


def _rows_of(name: str, model: str, pretrained: str | None) -> pd.DataFrame:
    table = _table(name)
    base = model.removesuffix("-quickgelu")
    rows = table[(table["model"] == base) & (table["pretrained"] == pretrained)]
    return rows.drop(columns=["model", "pretrained"])


@cache
def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(files(__package__).joinpath(name))
