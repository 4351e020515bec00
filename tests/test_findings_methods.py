import pandas as pd

from helpers.findings.methods import FEW, MOST, SOME, answer, verdicts

MARK = "patching"
METHODS = [MARK, "texts", "probe (06)", "contributions (08)"]


def hits(rates):
    table = pd.DataFrame({"rate": rates}, index=METHODS)
    return table.assign(low=table["rate"] - 0.1, high=table["rate"] + 0.1, chance=0.04)


def order(correlations):
    table = pd.DataFrame({"correlation": correlations}, index=METHODS)
    return table.assign(
        low=table["correlation"] - 0.1, high=table["correlation"] + 0.1, chance=0.15
    )


PLANTED = {"one": hits([1, 0.9, 0.1, 0.95]), "other": hits([1, 0.4, 0.2, 0.9])}
AGREEMENT = {"one": order([0.8, 0.5, 0.5, 0.8]), "other": order([0.8, 0.5, 0.4, 0.8])}


def test_a_verdict_holds_in_all_models():
    assert verdicts(PLANTED, AGREEMENT).tolist() == [MOST, SOME, FEW, MOST]


def test_a_method_that_orders_heads_at_random_is_not_trusted():
    unordered = {model: order([0.8, 0.5, 0.5, 0.2]) for model in AGREEMENT}
    assert verdicts(PLANTED, unordered)["contributions (08)"] == SOME


def test_the_sentence_names_the_methods_by_verdict():
    found = answer(PLANTED, AGREEMENT, mark=MARK)
    assert found.sentence == (
        "Contributions name the heads that matter; texts name some of them; probe seldom names"
        " them."
    )
    assert [row.answer for row in found.findings] == [SOME, FEW, MOST]
    assert "patching on other pairs one 0.80; other 0.80" in found.findings[0].beside
