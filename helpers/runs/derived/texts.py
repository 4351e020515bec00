"""Embeddings of texts by a run's model, kept with the run."""

from typing import TYPE_CHECKING

import xarray as xr

from helpers.analysis.proximity import normalised
from helpers.data.texts import Texts
from helpers.runs.derived.cache import derived

if TYPE_CHECKING:
    from helpers.runs.run import Run


def embedded_texts(run: "Run", texts: Texts) -> xr.DataArray:
    """Return the normalised embeddings of texts, computing them when missing: (text, feature)."""

    def compute() -> xr.Dataset:
        coords = {
            "text": list(texts.texts),
            "property": ("text", [of or "" for of in texts.properties]),
            "value": ("text", list(texts.values)),
        }
        embeddings = normalised(run.model.encode_text(texts.texts))
        return xr.Dataset({"embedding": (("text", "feature"), embeddings)}, coords)

    return derived(run, "texts", compute, texts=texts.fingerprint)["embedding"]
