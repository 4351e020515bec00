"""How heads are named: ``L3.H1`` is head 1 of layer 3, both counted from 0."""

import re

import numpy as np
import pandas as pd
import xarray as xr

_HEAD = re.compile(r"L(\d+)\.H(\d+)")


def head_name(layer: int, head: int) -> str:
    """Name a head."""
    return f"L{layer}.H{head}"


def is_head(name: str) -> bool:
    """Tell a head's name from those of other components, such as ``L3.MLP``."""
    return _HEAD.fullmatch(name) is not None


def place_of(name: str) -> tuple[int, int]:
    """Return the layer and number of a head: (3, 1) for ``L3.H1``.

    Raises
    ------
    ValueError
        If the name is no head's.
    """
    found = _HEAD.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no name of a head, such as 'L3.H1'.")
    return int(found[1]), int(found[2])


def on_grid(components: xr.DataArray) -> xr.DataArray:
    """Put the heads among components on a grid of layers and heads: (…, layer, head)."""
    heads = components.sel(component=[n for n in components["component"].values if is_head(n)])
    layer, head = np.array([place_of(name) for name in heads["component"].values]).T
    index = pd.MultiIndex.from_arrays([layer, head], names=["layer", "head"])
    grid = heads.drop_vars("component").assign_coords(
        xr.Coordinates.from_pandas_multiindex(index, "component")
    )
    return grid.unstack("component")
