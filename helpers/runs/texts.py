"""The pool of texts of a run, and its embeddings, kept beside the arrays."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from helpers.analysis.proximity import normalised
from helpers.clip import names
from helpers.data.texts import Texts, open_texts
from helpers.runs.parameters import Parameters
from helpers.runs.storage.files import damaged_files, seal_folder

# Beside the checksums, which Zarr would wonder at in a group.
GROUP = "texts"
Encode = Callable[[Sequence[str]], np.ndarray]


def open_pool(parameters: Parameters) -> Texts:
    """Open the pool of texts that the parameters ask for."""
    return open_texts(parameters.texts) if parameters.texts else own_pool(parameters)


def own_pool(parameters: Parameters) -> Texts:
    """Open the pool of texts that suits the parameters' model."""
    return open_texts("scenes" if names.is_embedded(parameters.model) else "general")


def embedded_texts(
    path: Path, texts: Texts, encode: Encode, tell: Callable[[str], None]
) -> xr.DataArray:
    """Read the embeddings of a pool of texts, or compute and keep them: (text, feature)."""
    if path.exists() and (damaged := damaged_files(path)):
        tell(f"{path}: {', '.join(damaged)} damaged or missing; the texts are embedded again.")
    elif path.exists():
        with xr.open_zarr(path, group=GROUP, consolidated=False, chunks=None) as dataset:
            if dataset.attrs["texts"] == texts.fingerprint:
                return _as_text(dataset["embedding"].load())
    embeddings = _embed(texts, encode)
    _keep(path, embeddings.to_dataset().assign_attrs(texts=texts.fingerprint))
    return embeddings


def _embed(texts: Texts, encode: Encode) -> xr.DataArray:
    embeddings = encode(texts.texts)
    properties = [of or "" for of in texts.properties]
    said = {"property": ("text", properties), "value": ("text", list(texts.values))}
    array = xr.DataArray(normalised(embeddings), dims=("text", "feature"), name="embedding")
    array = array.assign_coords({"text": list(texts.texts)} | said)
    return _as_text(array)


def _keep(path: Path, dataset: xr.Dataset) -> None:
    # Written aside and renamed: a process that is killed leaves no half-written texts behind.
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    dataset.to_zarr(partial, group=GROUP, mode="w", consolidated=False)
    seal_folder(partial)
    shutil.rmtree(path, ignore_errors=True)
    partial.replace(path)


def _as_text(array: xr.DataArray) -> xr.DataArray:
    return array.assign_coords({name: axis.astype(object) for name, axis in array.coords.items()})
