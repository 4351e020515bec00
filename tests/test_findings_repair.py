"""What notebook 14 answers, of made tables."""

import numpy as np
import pandas as pd

from helpers.analysis import patching, probes
from helpers.findings import repair as findings


def gains(mean_shift, control=0.0):
    values = {
        patching.PLAIN: 0.0,
        patching.MEAN_SHIFT: mean_shift,
        patching.OTHERS_MEAN: control,
    }
    rows = {}
    for name, gain in values.items():
        helps = gain > 0.05 and name == patching.MEAN_SHIFT and gain - control > 0.05
        numbers = {"changed": 0.8 + gain, "clean": 0.9}
        for measure, own in (("gain", gain), ("cost", -0.1), ("beyond", gain - control)):
            bounds = {"_low": -0.02, "_high": 0.02}
            numbers |= {measure: own} | {measure + end: own + by for end, by in bounds.items()}
        rows[name] = numbers | {"helps": helps}
    return {"scenes": pd.DataFrame.from_dict(rows, orient="index")}


def curves(ablated):
    def own(end):
        values = np.linspace(0.3, end, 5)
        table = {"mean": values, "low": values - 0.05, "high": values + 0.05, "all": values}
        return pd.DataFrame(table, index=pd.Index([0, 1, 2, 3, 4], name="heads"))

    return {"contribution": own(ablated), probes.AT_RANDOM: own(0.32)}


def test_no_repair_helps():
    answer = findings.answer(gains(0.0), gains(0.2), curves(0.3), 0.8)
    assert answer.sentence.startswith("No repair surely answers more questions")
    assert "does not surely help a probe" in answer.sentence
    table = answer.table.set_index("question")
    assert table.loc["Would a repair be noticed, if every image moved the same way?", "answer"] == (
        "yes"
    )
    assert "not misled: 80%" in table["beside it"].iloc[-1]


def test_a_repair_that_helps_and_its_cost_are_named():
    answer = findings.answer(gains(0.2), gains(0.2), curves(0.7))
    assert "change's mean shift restores right answers" in answer.sentence
    assert answer.sentence.count("takes some on clean images") == 1
    assert "chosen by contribution" in answer.sentence


def test_what_harms_is_said_to():
    table = findings.answer(gains(-0.2), gains(0.2)).table.set_index("question")
    assert table["answer"].iloc[0] == "it harms"


def test_nothing_known_and_nothing_moved():
    assert findings.answer({}, {}).sentence == findings.NO_TRUTH
    assert findings.answer({}, {}, moved=False).sentence.startswith("Nothing moved")
