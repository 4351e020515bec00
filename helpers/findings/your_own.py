"""What notebook 12 finds: how far JPEG, and changes of one's own, move a model."""

from collections.abc import Callable, Mapping

import pandas as pd

from helpers.findings import Answer, Finding, each, estimate, once_or_each
from helpers.ties import ranked

NEARLY = 0.99


def answer(
    jpeg: Mapping[str, pd.DataFrame],
    moved: Mapping[str, pd.DataFrame],
    *,
    quality: Callable[[float], int],
    name: Callable[[str], str] = str,
) -> Answer:
    """Choose the words of notebook 12.

    Parameters
    ----------
    jpeg : mapping of str to DataFrame
        Source → by severity of JPEG, `mean`, `low`, `high` of the embedding similarity.
    moved : mapping of str to DataFrame
        Source → the same by change, of changes of one's own and others beside them.
    quality : callable
        From a severity to JPEG's quality.
    name : callable
        Writes a change within a sentence.

    Returns
    -------
    Answer
    """
    strongest = next(iter(jpeg.values())).index[-1]
    mildest = next(iter(jpeg.values())).index[0]
    kept = all(table.loc[strongest, "mean"] >= NEARLY for table in jpeg.values())
    order = {source: ranked(table["mean"], ascending=True).index for source, table in moved.items()}
    first = {source: name(names[0]) for source, names in order.items()}
    furthest = once_or_each(first)
    hardly = "hardly moves" if kept else "moves"
    rows = [
        Finding(
            f"How similar is an image to itself at JPEG quality {quality(strongest)}?",
            "nearly the same" if kept else "less than before",
            each({s: _written(table.loc[strongest]) for s, table in jpeg.items()}),
            f"quality {quality(mildest)}: "
            + each({s: _written(table.loc[mildest]) for s, table in jpeg.items()}),
        ),
        Finding(
            "Which of your changes moves the model furthest?",
            furthest,
            each({s: _written(moved[s].loc[names[0]]) for s, names in order.items()}),
            "least: "
            + each({s: f"{name(n[-1])} {_written(moved[s].loc[n[-1]])}" for s, n in order.items()}),
        ),
    ]
    sentence = f"Strong JPEG compression {hardly} this model; of the changes tried here,"
    by_source = {f"in {source}": change for source, change in first.items()}
    return Answer(f"{sentence} the one that moves it furthest is {once_or_each(by_source)}.", rows)


def _written(row: pd.Series) -> str:
    return estimate(row, "{:.3f}")
