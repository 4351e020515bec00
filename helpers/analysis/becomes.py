"""What a model sees instead: what its zero-shot answers become under a change.

It needs no true answers. Every property of a pool of texts, or any list of classes, is a question;
its values are the answers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from helpers import ties
from helpers.analysis.directions import zero_shot
from helpers.analysis.statistics import FALSE_DISCOVERY_RATE, TAILS, false_discovery_rates
from helpers.data.changes import ORIGINAL

NAMED = 4
"""Answers that are named at most where no description fits nearly all images."""

KEYS = ["augmentation", "property"]
LEAST_CHANGES = 6
"""Fewer images that take an answer up or give it up can't be significant, whichever way they go."""
NEARLY_ALL = 0.8
CHANCE = 0.05
MOST_IN_A_DESCRIPTION = 5
NOTHING_SURE = "nothing else for sure"
DESCRIPTION, MORE_OFTEN, ANOTHER, NOTHING = KINDS = (
    "description",
    "more often",
    "another",
    "nothing",
)
ADJECTIVES = ("size", "fill", "colour")
OF_A_SCENE = (*ADJECTIVES, "shape", "background", "count", "medium", "position")


def answered(embeddings: xr.DataArray, texts: xr.DataArray) -> xr.DataArray:
    """Ask every question of every view.

    Parameters
    ----------
    embeddings : DataArray, (…, feature)
        Normalised or not.
    texts : DataArray, (text, feature)
        Values and their properties, as of `helpers.analysis.directions.ensembles`.

    Returns
    -------
    DataArray of str, (…, property)
        The value that fits best.
    """
    return named(zero_shot(embeddings, texts)["prediction"], texts)


def named(predictions: xr.DataArray, texts: xr.DataArray) -> xr.DataArray:
    """Write predictions as values in place of numbers.

    Parameters
    ----------
    predictions : DataArray of int, (…, property)
        As of `helpers.analysis.directions.zero_shot`.
    texts : DataArray, (text, feature)
        As for `answered`.

    Returns
    -------
    DataArray of str, (…, property)
    """
    predictions = predictions.transpose(..., "property")
    names = [
        _values(texts, name)[predictions.sel(property=name).values] for name in _names(predictions)
    ]
    return predictions.copy(data=np.stack(names, axis=-1))


def before_after(answers: xr.DataArray) -> pd.DataFrame:
    """Count which answer every answer becomes.

    Parameters
    ----------
    answers : DataArray of str, (image, view, property)
        As of `answered`, of one source, with the view ``original``.

    Returns
    -------
    DataFrame
        Columns `augmentation`, `property`, `before`, `after` and `images`: the number of images
        with these two answers. Pairs of answers that no image has are left out.
    """
    after = answers.drop_sel(view=ORIGINAL).rename(view="augmentation")
    before = answers.sel(view=ORIGINAL, drop=True).broadcast_like(after)
    pairs = xr.Dataset({"before": before, "after": after}).to_dataframe()
    columns = [*KEYS, "before", "after"]
    counts = pairs.reset_index().groupby(columns, sort=False).size().rename("images").reset_index()
    order = {name: place for place, name in enumerate(after["augmentation"].values.tolist())}
    key = {"key": lambda own: own.map(order) if own.name == KEYS[0] else own}
    return counts.sort_values(columns, ignore_index=True, **key)


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Say how much more, or less, often every answer is given after a change than before.

    If the change favours no answer, as many images take one up as give it up: McNemar's exact test,
    two-sided. False discoveries are held at 5 % over all answers and changes that the test could
    find (Gilbert 2005): those that `LEAST_CHANGES` images or more take up or give up.

    Parameters
    ----------
    table : DataFrame
        As of `before_after`.

    Returns
    -------
    DataFrame
        A row per change and answer, most gained first within a change: `augmentation`, `property`,
        `answer`, the counts `before` and `after` of `n` images, `gain` (the difference as a part of
        n) with `low` and `high` (95 %, Agresti and Min 2005), `q` and `found`. The interval is NaN
        for a single image.
    """
    counts = {
        "before": table.groupby([*KEYS, "before"])["images"].sum(),
        "after": table.groupby([*KEYS, "after"])["images"].sum(),
    }
    changed = table[table["before"] != table["after"]]
    counts["up"] = changed.groupby([*KEYS, "after"])["images"].sum()
    counts["down"] = changed.groupby([*KEYS, "before"])["images"].sum()
    renamed = {name: own.rename_axis([*KEYS, "answer"]) for name, own in counts.items()}
    rows = pd.DataFrame(renamed).fillna(0).astype(int).reset_index()
    n = table.groupby(KEYS)["images"].sum().rename("n")
    rows = rows.join(n, on=KEYS)
    rows = rows.assign(gain=(rows["up"] - rows["down"]) / rows["n"], **_intervals(rows))
    q = false_discovery_rates(_mcnemar(rows["up"], rows["down"]))
    rows = rows.assign(q=q, found=q <= FALSE_DISCOVERY_RATE)
    return _most_gained_first(rows, table["augmentation"].unique()).drop(columns=["up", "down"])


def most_gained(table: pd.DataFrame, k: int) -> pd.DataFrame:
    """Take the answers that each change brings most often.

    Parameters
    ----------
    table : DataFrame
        As of `gains`.
    k : int
        Answers per change, at most.

    Returns
    -------
    DataFrame
        Rows of the table that are found and gain; a change may have none.
    """
    rows = table[table["found"] & (table["gain"] > 0)]
    return rows.groupby("augmentation", sort=False).head(k)


def commonest(table: pd.DataFrame) -> pd.DataFrame:
    """Take for each change the answer that most images exchange for one other.

    Parameters
    ----------
    table : DataFrame
        As of `before_after`.

    Returns
    -------
    DataFrame
        `property`, `before`, `after` and `images`, by `augmentation`; the first of the table where
        several are as frequent. A change that changes no answer has no row.
    """
    other = table[table["before"] != table["after"]]
    most = other.groupby("augmentation", sort=False)["images"].idxmax()
    return other.loc[most].set_index("augmentation")


def crossed(table: pd.DataFrame, change: str, most: int) -> pd.DataFrame:
    """Cross the answers before a change with those after it.

    Parameters
    ----------
    table : DataFrame
        As of `before_after`, of one question.
    change : str
    most : int
        Answers at most: those that are given most often, before and after together.

    Returns
    -------
    DataFrame of int
        Answers before × answers after: the number of images with both.
    """
    own = table[table["augmentation"] == change]
    counts = own.pivot_table("images", "before", "after", aggfunc="sum", fill_value=0)
    names = sorted({*counts.index, *counts.columns})
    counts = counts.reindex(index=names, columns=names, fill_value=0)
    kept = ties.ranked((counts.sum() + counts.sum(axis=1)).astype(float)).index[:most]
    kept = [name for name in names if name in kept]
    return counts.loc[kept, kept].astype(int)


def changed(table: pd.DataFrame) -> pd.DataFrame:
    """Count the images whose answer changes, whatever it becomes.

    An exchange of answers, such as of left and right in a mirror, leaves every answer as frequent
    as it was.

    Parameters
    ----------
    table : DataFrame
        As of `before_after`.

    Returns
    -------
    DataFrame of int, (augmentation, property)
    """
    other = table["images"].where(table["before"] != table["after"], 0)
    counts = other.groupby([table[key] for key in KEYS], sort=False).sum()
    return counts.unstack().loc[table["augmentation"].unique(), table["property"].unique()]


def most_changed(shares: Mapping[str, pd.DataFrame], k: int) -> dict[str, pd.DataFrame]:
    """Keep the questions to which most images get another answer under some change.

    Parameters
    ----------
    shares : mapping of str to DataFrame, (augmentation, property)
        Source → as of `changed`, as shares of its images.
    k : int
        Questions at most.

    Returns
    -------
    dict of str to DataFrame
        The same questions of every source, in their order.
    """
    largest = pd.concat([own.max() for own in shares.values()], axis=1).max(axis=1)
    kept = ties.ranked(largest).index[:k]
    return {s: own[[name for name in own.columns if name in kept]] for s, own in shares.items()}


def seen_instead(answers: xr.DataArray) -> pd.DataFrame:
    """Say in a few words what the model sees under each change.

    Parameters
    ----------
    answers : DataArray of str, (image, view, property)
        As of `answered`, of one source, with the view ``original``.

    Returns
    -------
    DataFrame, indexed by augmentation
        `kind`, the number of images `n`, and `words` and `counts` to read. The first that holds:

        - "a large dotted star on a plain background": answers that surely gain, and that at least
          `NEARLY_ALL` images give. "0 → 96 of 100" counts those that the whole description fits.
        - "more often square or black": the k answers that gain most. "15 → 51, 11 → 31 of 100".
        - "another position": no answer gains, and surely most images get another one: "79 of 100"
          (binomial test, p times the number of questions).
        - "nothing else for sure".

        `kind` is one of `KINDS`.
    """
    table = before_after(answers)
    gained, other = most_gained(gains(table), len(table)), changed(table)
    rows = {
        name: _in_words(answers, gained[gained["augmentation"] == name], other.loc[name])
        for name in other.index
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("augmentation")


def by_depth(answers: xr.DataArray, gained: pd.DataFrame) -> pd.DataFrame:
    """Count at every depth the images that give the answers that changes bring.

    Parameters
    ----------
    answers : DataArray of str, (image, view, depth, property)
        As of `helpers.runs.derived.lens.answers_at_every_depth`, of one source.
    gained : DataFrame
        Rows of `gains`.

    Returns
    -------
    DataFrame
        A row per row of the table and depth: `augmentation`, `property`, `answer`, `depth`, the
        number of `images`, the shares of them `before` and `after` the change, and `gain`, their
        difference.
    """
    rows = []
    for row in gained.itertuples():
        same = answers.sel(property=row.property) == row.answer
        share = same.mean("image").transpose("view", "depth")
        own = {"before": share.sel(view=ORIGINAL).values}
        own |= {"after": share.sel(view=row.augmentation).values, "depth": answers["depth"].values}
        own |= {"images": answers.sizes["image"]}
        names = {"augmentation": row.augmentation, "property": row.property, "answer": row.answer}
        rows.append(pd.DataFrame(own).assign(**names))
    columns = [*KEYS, "answer", "depth", "images", "before", "after"]
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)
    return table[columns].assign(gain=table["after"] - table["before"])


def arises(depths: pd.DataFrame) -> pd.DataFrame:
    """Say from which depth on an answer has at least half of the gain that it has in the end.

    Parameters
    ----------
    depths : DataFrame
        As of `by_depth`.

    Returns
    -------
    DataFrame
        `augmentation`, `property`, `answer`, the number of `images`, `gain` at the end and `depth`,
        "" where these images show no gain at the end.
    """
    keys = [*KEYS, "answer"]
    rows = []
    for names, own in depths.groupby(keys, sort=False):
        gain = own["gain"].to_numpy()
        reached = np.logical_and.accumulate((gain >= gain[-1] / 2)[::-1])[::-1]
        depth = own["depth"].iloc[reached.argmax()] if gain[-1] > 0 else ""
        rows.append((*names, own["images"].iloc[0], gain[-1], depth))
    return pd.DataFrame(rows, columns=[*keys, "images", "gain", "depth"])


def described(values: dict[str, str]) -> str:
    """Make one description of answers to several questions."""
    adjectives = [values[name] for name in ADJECTIVES if name in values]
    told = {"background"}
    phrase = ""
    if adjectives or "shape" in values:
        phrase = _counted(adjectives, values.get("shape", "object"), values.get("count"))
        told |= {*ADJECTIVES, "shape", "count"}
    if "background" in values:
        background = f"on {_with_article(values['background'] + ' background')}"
        phrase = f"{phrase or 'something'} {background}"
    others = [value for name, value in values.items() if name not in told]
    return ", ".join([phrase] * bool(phrase) + others)


def _counted(adjectives: Sequence[str], shape: str, count: str | None) -> str:
    if count in (None, "one"):
        thing = " ".join([*adjectives, shape])
        return f"one {thing}" if count else _with_article(thing)
    plural = shape + ("es" if shape.endswith("s") else "s")
    return " ".join([count, *adjectives, plural])


def _in_words(answers: xr.DataArray, gained: pd.DataFrame, other: pd.Series) -> dict:
    n = answers.sizes["image"]
    frequent = gained[gained["after"] >= NEARLY_ALL * n].head(MOST_IN_A_DESCRIPTION)
    first = gained.head(NAMED)
    most = other.index[other.to_numpy().argmax()]
    if len(frequent):
        values = dict(zip(frequent["property"], frequent["answer"], strict=True))
        before, after = (
            _fitting(answers.sel(view=view), values) for view in (ORIGINAL, other.name)
        )
        kind, words, counts = DESCRIPTION, described(values), f"{before} → {after} of {n}"
    elif len(first):
        counts = ", ".join(f"{row.before} → {row.after}" for row in first.itertuples())
        words = f"more often {_either(first['answer'].tolist())}"
        kind, counts = MORE_OFTEN, f"{counts} of {n}"
    elif stats.binom.sf(other[most] - 1, n, 0.5) * len(other) <= CHANCE:
        words = f"another {most}" if most in OF_A_SCENE else f"other answers about {most}"
        kind, counts = ANOTHER, f"{other[most]} of {n}"
    else:
        kind, words, counts = NOTHING, NOTHING_SURE, "–"
    return {"kind": kind, "words": words, "counts": counts, "n": n}


def _fitting(answers: xr.DataArray, values: dict[str, str]) -> int:
    """Count the images that give all of these answers."""
    each = [answers.sel(property=name).values == value for name, value in values.items()]
    return int(np.logical_and.reduce(each).sum())


def _either(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _with_article(words: str) -> str:
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}" if words else ""


def _intervals(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Interval of a difference of paired shares: half an image is added to every cell."""
    n, up, down = rows["n"] + 2, rows["up"] + 0.5, rows["down"] + 0.5
    middle = (up - down) / n
    around = stats.norm.ppf(TAILS[1]) * np.sqrt(up + down - (up - down) ** 2 / n) / n
    known = rows["n"] > 1
    ends = {"low": middle - around, "high": middle + around}
    return {name: end.clip(-1, 1).where(known) for name, end in ends.items()}


def _mcnemar(up: pd.Series, down: pd.Series) -> np.ndarray:
    p = np.minimum(2 * stats.binom.cdf(np.minimum(up, down), up + down, 0.5), 1)
    return np.where(up + down >= LEAST_CHANGES, p, np.nan)


def _most_gained_first(rows: pd.DataFrame, changes: Sequence[str]) -> pd.DataFrame:
    order = pd.Categorical(rows["augmentation"], categories=changes)
    keys = rows.assign(order=order.codes, falling=-rows["gain"])
    by = keys.sort_values(["order", "falling", "property", "answer"], kind="stable")
    return by.drop(columns=["order", "falling"]).reset_index(drop=True)


def _values(texts: xr.DataArray, name: str) -> np.ndarray:
    return texts["text"].values[texts["property"].values == name].astype(object)


def _names(answers: xr.DataArray) -> list[str]:
    return answers["property"].values.tolist()
