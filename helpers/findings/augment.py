"""What notebook 01 finds: what changes do to pixels, and what they leave in the picture."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from helpers.findings import Answer, Finding, capital, each, estimate, listed, once_or_each, verb
from helpers.ties import ranked

NOTHING_CHANGED = "No change alters any pixel."
BLACK = 0.01
"""Part of the pixels that become black from which that is in sight."""
GRAIN = 3.0
"""Times as different as they were, from which neighbouring pixels look like noise."""


def answer(
    change: Mapping[str, pd.DataFrame],
    effects: Mapping[str, pd.DataFrame],
    *,
    bordered: Sequence[str] = (),
    name: Callable[[str], str] = str,
) -> Answer:
    """Choose the words of notebook 01.

    Parameters
    ----------
    change : mapping of str to DataFrame
        Source → by change, `mean`, `low` and `high` of the mean absolute difference of pixels.
    effects : mapping of str to DataFrame
        Source → by change, means over images of `helpers.analysis.scores.pixel_effects`.
    bordered : sequence of str
        Changes that show what lies beyond an image's edge. Other changes turn pixels black by
        taking their values to the end of the scale.
    name : callable
        Writes a change within a sentence.

    Returns
    -------
    Answer
    """
    if all((group["mean"] == 0).all() for group in change.values()):
        return Answer(NOTHING_CHANGED, [])
    order = {source: ranked(group["mean"]).index for source, group in change.items()}
    black = {s: list(group.index[group["black"] >= BLACK]) for s, group in effects.items()}
    noisy = {s: list(group.index[group["grain"] >= GRAIN]) for s, group in effects.items()}
    borders = {
        s: [n for n in bordered if n in group.index and group.loc[n, "black"] > 0]
        for s, group in effects.items()
    }
    rows = [
        _extreme(change, order, name),
        *([_bordered(effects, borders, name)] if any(borders.values()) else []),
        _left(effects, "black", black, "{:.0%} of the pixels", name),
        _left(effects, "grain", noisy, "{:.1f} times", name),
    ]
    return Answer(_sentence(order, borders, black, noisy, name), rows)


def _sentence(
    order: Mapping, bordered: Mapping, black: Mapping, noisy: Mapping, name: Callable
) -> str:
    most = once_or_each({source: name(names[0]) for source, names in order.items()})
    text = f"{capital(most)} changes pixels most."
    left = []
    if borders := _union(bordered):
        left.append(f"{listed([name(n) for n in borders])} {verb(borders, 'leave')} black borders")
    if others := [n for n in _union(black) if n not in borders]:
        left.append(f"{listed([name(n) for n in others])} {verb(others, 'turn')} pixels black")
    if grains := _union(noisy):
        touched = f"every pixel {_they(grains)} {verb(grains, 'touch')}"
        names = listed([name(n) for n in grains])
        left.append(f"{names} {verb(grains, 'put')} noise into {touched}")
    if not left:
        return text
    return (
        f"{text} {capital('; '.join(left))}: a model may see these"
        " artefacts of the changes rather than what the changes are named after."
    )


def _union(by_source: Mapping[str, list[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in by_source.values() for name in names))


def _they(names: list[str]) -> str:
    return "they" if len(names) > 1 else "it"


def _extreme(change: Mapping, order: Mapping, name: Callable) -> Finding:
    def written(source: str, place: int) -> str:
        row = change[source].loc[order[source][place]]
        return estimate(row, "{:.1f}")

    return Finding(
        "Which change alters pixels most?",
        once_or_each({source: name(names[0]) for source, names in order.items()}),
        each({source: f"{written(source, 0)} of 255 levels" for source in order}),
        f"least: {each({s: f'{name(order[s][-1])} {written(s, -1)}' for s in order})}",
    )


def _bordered(
    effects: Mapping[str, pd.DataFrame], borders: Mapping[str, list[str]], name: Callable
) -> Finding:
    shown = {
        source: ", ".join(f"{group.loc[n, 'black']:.1%}" for n in borders[source]) or "–"
        for source, group in effects.items()
    }
    return Finding(
        "Which changes leave black borders?",
        once_or_each(
            {source: listed([name(n) for n in names]) for source, names in borders.items()}
        ),
        f"of the pixels: {each(shown)}",
        "they show what lies beyond the image's edge",
    )


QUESTIONS = {
    "black": "Which changes turn pixels black?",
    "grain": "Which changes make neighbouring pixels differ as noise does?",
}


def _left(
    effects: Mapping[str, pd.DataFrame],
    column: str,
    named: Mapping[str, list[str]],
    form: str,
    name: Callable,
) -> Finding:
    shown = {
        source: ", ".join(form.format(effects[source].loc[n, column]) for n in names) or "–"
        for source, names in named.items()
    }
    others = {source: group[column].drop(named[source]).max() for source, group in effects.items()}
    rest = {source: "–" if pd.isna(most) else form.format(most) for source, most in others.items()}
    return Finding(
        QUESTIONS[column],
        once_or_each({source: listed([name(n) for n in names]) for source, names in named.items()}),
        each(shown),
        f"most of any other change: {each(rest)}",
    )
