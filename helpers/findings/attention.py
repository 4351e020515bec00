"""What notebook 05 finds: how attention moves under changes, and whether embeddings follow."""

from collections.abc import Mapping

import pandas as pd

from helpers.findings import (
    NOTHING_MOVED,
    PERCENT,
    Answer,
    Finding,
    each,
    estimate,
    listed,
    once_or_each,
)

HALF = 0.5
"""Of all that attention loses under a flip: what it must gain to be said to follow, or not to."""

BY_SOURCE = Mapping[str, pd.DataFrame]


def answer(
    *,
    similarity: BY_SOURCE,
    floor: BY_SOURCE,
    correlation: BY_SOURCE,
    focus: BY_SOURCE,
    gain: BY_SOURCE | None = None,
    moved: bool = True,
) -> Answer:
    """Answer whether attention moves where the embedding does.

    Parameters
    ----------
    similarity : mapping of str to DataFrame
        Source → attention similarity, a row per change (in words), with `mean`, `low`, `high`.
    floor : mapping of str to DataFrame
        Source → the same of two different images, in rows ``model`` and ``untrained``.
    correlation : mapping of str to DataFrame
        Source → rank correlation of attention and embedding similarity among images of the same
        change, with `mean`, `low`, `high`, in rows ``model`` and ``untrained``.
    focus : mapping of str to DataFrame
        Source → how much less attention the brightest tenth of the patches gets, image by image, a
        row per change, with `mean`, `low`, `high`, and the column `original`: what it gets there.
    gain : mapping of str to DataFrame, optional
        Source → by how much a flipped image's attention, mirrored back, is nearer to the original's
        than in place, as a share of the way from the floor to the same map; one row.
    moved : bool
        Whether any view differs from its original.

    Returns
    -------
    Answer
    """
    if not moved:
        return Answer(NOTHING_MOVED, [])
    findings = [_embedding(correlation), _lowest(similarity, floor)]
    findings += [_geometry(gain)] if gain else []
    findings.append(_spread(focus))
    return Answer(f"{_together(correlation)} {_left(similarity, floor)}", findings)


def _together(correlation: BY_SOURCE) -> str:
    known = {name: group.loc["model"] for name, group in correlation.items()}
    if all(pd.isna(group["low"]) for group in known.values()):
        return "Too few images to say whether attention and embedding move together."
    surely = [name for name, group in known.items() if group["low"] > 0]
    if not surely:
        return "Attention and embedding are not shown to move together."
    start = "Images" if len(surely) == len(known) else f"On {listed(surely)} only, images"
    text = f"{start} whose attention changes more tend to move further in the embedding"
    before = all(group.loc["untrained", "low"] > 0 for group in correlation.values())
    return f"{text}, as they do before training." if before else f"{text}."


def at_floor(similarity: pd.DataFrame, floor: pd.DataFrame) -> list[str]:
    """Name the changes that leave no more of an image's attention than another image has."""
    high = floor.loc["model", "high"]
    return list(similarity.index[similarity["mean"] <= high])


def _left(similarity: BY_SOURCE, floor: BY_SOURCE) -> str:
    if all(pd.isna(group.loc["model", "high"]) for group in floor.values()):
        return "Without a second image there is no floor to hold the score against."
    low = [at_floor(group, floor[name]) for name, group in similarity.items()]
    everywhere = [change for change in low[0] if all(change in group for group in low)]
    if everywhere:
        return (
            f"Under {listed(everywhere)} no more is left of an image's attention than another image"
            " would have."
        )
    which = "No change leaves" if not any(low) else "No change leaves, on every kind of images,"
    return f"{which} as little of an image's attention as another image would have."


def _embedding(correlation: BY_SOURCE) -> Finding:
    verdicts = {name: _verdict(group.loc["model"]) for name, group in correlation.items()}
    return Finding(
        "Do images whose attention changes more move further in the embedding?",
        once_or_each(verdicts),
        each({name: estimate(group.loc["model"]) for name, group in correlation.items()}),
        "untrained: "
        + each({n: estimate(group.loc["untrained"]) for n, group in correlation.items()}),
    )


def _verdict(row: pd.Series) -> str:
    if pd.isna(row["low"]):
        return "too few images"
    return "yes" if row["low"] > 0 else "not shown"


def _lowest(similarity: BY_SOURCE, floor: BY_SOURCE) -> Finding:
    lowest = {name: group["mean"].idxmin() for name, group in similarity.items()}
    return Finding(
        "Which changes leave no more attention than another image has?",
        once_or_each(
            {name: listed(at_floor(group, floor[name])) for name, group in similarity.items()}
        ),
        "lowest: "
        + each(
            {
                name: f"{lowest[name]} {estimate(group.loc[lowest[name]], '{:.3f}')}"
                for name, group in similarity.items()
            }
        ),
        "two different images: "
        + each({name: estimate(group.loc["model"], "{:.3f}") for name, group in floor.items()}),
    )


def _geometry(gain: BY_SOURCE) -> Finding:
    return Finding(
        "Does attention follow a mirrored picture to its new place?",
        once_or_each({name: _follows(group.iloc[0]) for name, group in gain.items()}),
        each({name: estimate(group.iloc[0], PERCENT) for name, group in gain.items()}),
        "100% if all that is missing were gained by mirroring back",
    )


def _follows(row: pd.Series) -> str:
    if pd.isna(row["low"]):
        return "too few images"
    if row["low"] > HALF:
        return "mostly"
    return "hardly" if row["high"] < HALF else "in part"


def _spread(focus: BY_SOURCE) -> Finding:
    most = {name: group["mean"].idxmin() for name, group in focus.items()}
    return Finding(
        "Under which changes does attention spread out?",
        once_or_each(
            {name: listed(list(group.index[group["high"] < 0])) for name, group in focus.items()}
        ),
        "share of the brightest tenth, most: "
        + each(
            {
                name: f"{most[name]} {estimate(group.loc[most[name]], '{:+.0%}')}"
                for name, group in focus.items()
            }
        ),
        "in originals "
        + each({name: f"{group['original'].iloc[0]:.0%}" for name, group in focus.items()})
        + "; 10% if it were even",
    )
