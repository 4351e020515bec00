"""Methods judged by what is known of an embedded model's heads, measured once and kept with it.

What plants heads, or chooses among them greedily, amplifies the last bits in which processors
differ. So it is measured by a command of its own, in as many cases as make the verdict the same on
every processor, and notebook 13 reads it:

`python -m helpers.head_benchmark.judging embedded-clip` writes it to the model's folder.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr
from scipy import stats
from tqdm import tqdm

from helpers.analysis.dissection import place_of
from helpers.checks import WorkbookError
from helpers.clip import Model, embedded, load, weights
from helpers.data.scenes import PROPERTIES
from helpers.head_benchmark import methods
from helpers.head_benchmark.comparison import planted_ranks
from helpers.head_benchmark.methods import Amount, heads_of, prompts
from helpers.head_benchmark.planting import Plant

SCENES = 100
SURE = 0.01  # p of a property that the model distinguishes better than chance
LAYERS = 4
EVERY = 2  # of the heads is planted in, for each property
FEWER = Amount(pairs=6, scenes=100, segmented=8)
"""What methods see of a model with a planted head: there are many."""
PATCHED, SCORED, PLANTED = "patched.csv", "scored.csv", "planted.csv"


@dataclass(frozen=True)
class Judged:
    """What was measured of a model."""

    # (pair, property, head): the effect of patching each head: the truth that methods are held
    # against
    patched: xr.DataArray
    # (property, head): method → what it says of the heads; NaN where it says nothing of a property
    scored: dict[str, xr.DataArray]
    # (plants, methods): the place at which a method puts a planted head; NaN where it says nothing
    planted: pd.DataFrame


def answered(model: Model) -> list[str]:
    """List the properties that a model distinguishes better than chance."""
    right = (methods.accuracies(model, SCENES) * SCENES).round().astype(int)
    chance = {name: 1 / len(row.values) for name, row in PROPERTIES.items()}
    tested = {n: stats.binomtest(k, SCENES, chance[n], "greater").pvalue for n, k in right.items()}
    return [name for name, p in tested.items() if p < SURE]


def plants(names: Iterable[str], heads: list[str]) -> list[Plant]:
    """Choose heads for each property by rule, other ones for the next."""
    return [
        Plant(name, *place_of(head))
        for number, name in enumerate(names)
        for head in heads[number % EVERY :: EVERY]
    ]


def places(model: Model, chosen: Iterable[Plant], heads: list[str]) -> pd.DataFrame:
    """Let every method look for heads that were made to carry a property, one at a time."""
    rows = []
    for plant in chosen:
        altered = plant.planted_in(model, prompts(model, plant.name))
        ranks = planted_ranks(
            methods.scores(altered, [plant.name], heads, FEWER), plant.name, plant.label
        )
        rows += [(plant.name, plant.label, method, place) for method, place in ranks.items()]
    return pd.DataFrame(rows, columns=["property", "head", "method", "place"])


def measure(name: str) -> None:
    """Measure an embedded model, and write the tables to its folder."""
    model = load(name, device="cpu")
    names, heads, amount = answered(model), heads_of(model, LAYERS), Amount()
    patched = methods.truth(model, names, heads, amount.pairs).rename("effect")
    _write(model, patched.to_series(), PATCHED)
    scored = {
        method: scores.rename("score").to_series()
        for method, scores in methods.scores(model, names, heads, amount).items()
    }
    _write(model, pd.concat(scored, names=["method"]), SCORED)
    planted = places(model, tqdm(plants(names, heads)), heads)
    _write(model, planted.set_index(["property", "head", "method"])["place"], PLANTED)


def _write(model: Model, values: pd.Series, table: str) -> None:
    rows = values.to_frame().assign(weights=model.fingerprint)
    rows.to_csv(embedded.folder(model.name) / table, float_format="%.4g")


def read(name: str) -> Judged:
    """Read what was measured of an embedded model.

    Parameters
    ----------
    name : str
        One of `helpers.clip.embedded.NAMES`.

    Returns
    -------
    Judged

    Raises
    ------
    WorkbookError
        If nothing was measured of these weights.
    """
    folder, fingerprint = embedded.folder(name), weights.fingerprint(name, None)
    patched, scored, planted = (
        _read(folder / each, fingerprint) for each in (PATCHED, SCORED, PLANTED)
    )
    by_method = scored.set_index(["method", "property", "head"])["score"]
    return Judged(
        _grid(patched.set_index(["pair", "property", "head"])["effect"]),
        {method: _grid(by_method[method]) for method in by_method.index.unique("method")},
        planted.pivot(index=["property", "head"], columns="method", values="place")[
            list(scored["method"].unique())
        ],
    )


def _read(path: Path, fingerprint: str) -> pd.DataFrame:
    table = pd.read_csv(path) if path.exists() else None
    if table is None or set(table.pop("weights")) != {fingerprint}:
        raise WorkbookError(
            f"{path} was not measured with these weights; measure it anew:"
            f" python -m helpers.head_benchmark.judging {path.parent.name}"
        )
    return table


def _grid(values: pd.Series) -> xr.DataArray:
    # In the order of the table: pandas would sort the properties.
    array = values.to_xarray()
    order = {axis: pd.unique(values.index.get_level_values(axis)) for axis in array.dims}
    return array.sel(order)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=embedded.NAMES)
    measure(parser.parse_args().name)


if __name__ == "__main__":
    main()
