"""What notebook 13 finds: whether the methods name the heads that matter."""

from collections.abc import Mapping

import pandas as pd

from helpers.findings import PERCENT, Answer, Finding, capital, each, estimate, listed

MOST, SOME, FEW = "yes", "in part", "seldom"
HALF = 0.5
VERDICTS = {
    MOST: "{} {} the heads that matter",
    SOME: "{} {} some of them",
    FEW: "{} seldom {} them",
}


def verdicts(
    planted: Mapping[str, pd.DataFrame], agreement: Mapping[str, pd.DataFrame]
) -> pd.Series:
    """Judge every method, by the same rule in all models."""
    result = {}
    for method in next(iter(planted.values())).index:
        hits = pd.DataFrame([table.loc[method] for table in planted.values()])
        order = pd.DataFrame([table.loc[method] for table in agreement.values()])
        orders = (order["low"] > order["chance"]).all()
        surely_most, surely_few = (hits["low"] > HALF).all(), (hits["high"] < HALF).all()
        result[method] = MOST if surely_most and orders else FEW if surely_few else SOME
    return pd.Series(result, dtype=object)


def answer(
    planted: Mapping[str, pd.DataFrame],
    agreement: Mapping[str, pd.DataFrame],
    *,
    mark: str,
) -> Answer:
    """Choose the words of notebook 13.

    Parameters
    ----------
    planted, agreement
        As for `verdicts`.
    mark : str
        The method that is the truth's own test on other pairs: it is what the others are held
        against, and gets no verdict.

    Returns
    -------
    Answer
    """
    judged = verdicts(planted, agreement).drop(mark)
    groups = {verdict: list(judged.index[judged == verdict]) for verdict in VERDICTS}
    clauses = [_clause(verdict, names) for verdict, names in groups.items() if names]
    text = "; ".join(clauses)
    rows = [
        _finding(method, verdict, planted, agreement, mark) for method, verdict in judged.items()
    ]
    return Answer(f"{capital(text)}.", rows)


def _clause(verdict: str, names: list[str]) -> str:
    plain = [name.partition(" (")[0] for name in names]
    several = len(plain) > 1 or plain[0].endswith("s")
    return VERDICTS[verdict].format(listed(plain), "name" if several else "names")


def _finding(
    method: str,
    verdict: str,
    planted: Mapping[str, pd.DataFrame],
    agreement: Mapping[str, pd.DataFrame],
    mark: str,
) -> Finding:
    hits = {
        model: estimate(table.loc[method], PERCENT, of="rate") for model, table in planted.items()
    }
    order = {
        model: estimate(table.loc[method], of="correlation") for model, table in agreement.items()
    }
    chance = next(iter(planted.values())).loc[method, "chance"]
    marks = {model: f"{table.loc[mark, 'correlation']:.2f}" for model, table in agreement.items()}
    return Finding(
        f"Planted heads first, and heads in the order of patching, by {method}?",
        verdict,
        f"first {each(hits)}; rank correlation {each(order)}",
        f"chance {chance:.0%}; patching on other pairs {each(marks)}",
    )
