"""What a notebook finds: an answer in a sentence, and rows of a question, an answer and numbers.

Each notebook has a module here, whose function ``answer`` chooses among fixed words by the numbers.
`helpers.runs.report.results.Results.show_answer` renders them for notebooks, the summary and the
report.
"""

import re
from collections.abc import Mapping, Sequence, Sized
from dataclasses import astuple, dataclass

import pandas as pd

_MINUS_ZERO = re.compile(r"^-(?=0(\.0*)?%?$)")
PERCENT = "{:.0%}"
COLUMNS = ("question", "answer", "estimate", "beside it")
NOTHING_MOVED = "Nothing moved: severity 0 changes no pixel."
"""What stands in place of a winner where `statistics.anything_moved` is false."""


@dataclass(frozen=True)
class Finding:
    """A row of a notebook's findings.

    Attributes
    ----------
    question : str
        Fixed, whatever the numbers are.
    answer : str
        A few fixed words, chosen by the numbers.
    estimate : str
        The numbers, with intervals; see `interval` and `each`.
    beside : str
        What the estimate is held against: a baseline, chance, or another kind of images.
    """

    question: str
    answer: str
    estimate: str
    beside: str


@dataclass(frozen=True)
class Answer:
    """What a notebook answers, and what the answer rests on.

    Attributes
    ----------
    sentence : str
        One or two sentences without numbers, for a reader who has read nothing else.
    findings : sequence of Finding
    """

    sentence: str
    findings: Sequence[Finding]

    @property
    def table(self) -> pd.DataFrame:
        """The findings, a row each, with the columns `COLUMNS`."""
        return pd.DataFrame([astuple(finding) for finding in self.findings], columns=COLUMNS)


def interval(mean: float, low: float, high: float, form: str = "{:.2f}") -> str:
    """Write an estimate with its interval, such as ``0.31 [0.28, 0.34]``; a dash where it is none.

    Parameters
    ----------
    mean, low, high : float
    form : str
        Format of each of the numbers, such as ``{:.0%}``.

    Returns
    -------
    str
    """
    if pd.isna(mean):
        return "–"
    written, *ends = (_MINUS_ZERO.sub("", form.format(value)) for value in (mean, low, high))
    return written if pd.isna(low) else f"{written} [{', '.join(ends)}]"


def estimate(row: Mapping[str, float], form: str = "{:.2f}", *, of: str = "mean") -> str:
    """Write a row's estimate, by default its `mean`, with its interval from `low` to `high`."""
    return interval(row[of], row["low"], row["high"], form)


def each(by_source: Mapping[str, str]) -> str:
    """Write something of every source of images; of a single one, without its name."""
    if len(by_source) == 1:
        return next(iter(by_source.values()))
    return "; ".join(f"{source} {text}" for source, text in by_source.items())


def once_or_each(by_source: Mapping[str, str]) -> str:
    """Write words of every source of images, once where they are the same."""
    words = set(by_source.values())
    return words.pop() if len(words) == 1 else each(by_source)


def in_a_sentence(by_source: Mapping[str, str], place: str = "{} on {}") -> str:
    """Write words of every source of images within a sentence, once where they are the same."""
    if len(set(by_source.values())) == 1:
        return next(iter(by_source.values()))
    return listed([place.format(text, source) for source, text in by_source.items()])


def capital(text: str) -> str:
    """Begin a sentence."""
    return text[:1].upper() + text[1:]


def listed(names: Sequence[str], word: str = "and") -> str:
    """Write names as a list in a sentence: ``blur, noise and flip``."""
    *others, last = names or ["none"]
    return f"{', '.join(others)} {word} {last}" if others else last


def verb(subjects: Sized, plural: str) -> str:
    """Write a verb for one subject or several: ``touches`` or ``touch``."""
    if len(subjects) > 1:
        return plural
    return f"{plural}es" if plural.endswith("ch") else f"{plural}s"
