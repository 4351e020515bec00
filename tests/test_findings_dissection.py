"""What notebook 08 answers, of made accounts of which the right answer is known."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis import patching, specificity
from helpers.analysis.specificity import ANOTHER, Account, account
from helpers.findings import NOTHING_MOVED
from helpers.findings import dissection as findings
from tests.test_analysis_specificity import PLANTED, made

CHANGES = ["ordinary", "planted"]


def answered(*sources, removed=None):
    shares, ordinary = (xr.concat(own, "image") for own in zip(*sources, strict=True))
    return findings.answer(account(shares, ordinary), removed)


def cells(answer):
    return answer.table.set_index("question")


def patched(own, others, images=20, source="scenes"):
    """Effects of patching: direct, and half as much again in all."""
    means = {"own": own, "others": others, "generic": others, "random": 0.1}
    noise = np.random.default_rng(0).normal(0, 0.02, (len(means), images, len(CHANGES)))
    direct = np.array(list(means.values()))[:, None, None] + noise
    coords = {
        "effect": list(patching.EFFECTS),
        "choice": list(means),
        "augmentation": CHANGES,
        "source": ("image", [source] * images),
    }
    values = np.stack([direct, 1.2 * direct, 1.5 * direct])
    return xr.DataArray(values, dims=("effect", "choice", "image", "augmentation"), coords=coords)


def test_a_change_of_its_own_is_named_and_an_ordinary_one_is_not():
    answer = answered(made(100, 1))
    assert answer.sentence.startswith("Most of what carries a shift carries any difference")
    assert "planted stands furthest apart." in answer.sentence
    assert "more than their ordinary share under a minority of changes" in answer.sentence
    table = cells(answer)
    assert table.loc["Which accounts are surely not ordinary?", "answer"] == "planted"
    row = table.loc["Which heads are most specific, and to what?"]
    assert row["answer"] == f"{PLANTED} to planted"
    assert row["estimate"].startswith("excess share: +1") and row["beside it"].endswith("none")


def neurons_of(source, own=0.3, generic=0.1):
    """An account of ten neurons in two layers, one of them specific to the planted change."""
    rng = np.random.default_rng(0)
    shape = (1, 3, 2, 5)
    axes = ("of_source", "augmentation", "depth", "neuron")
    excess = np.zeros(shape)
    excess[0, 1, 1, 3] = 0.2
    names = ("share", "excess", "low", "high")
    dataset = xr.Dataset(dict.fromkeys(names, (axes, excess))).assign_coords(
        of_source=[source], augmentation=[*CHANGES, ANOTHER]
    )
    dataset["specific"] = dataset["excess"] > 0
    halves = pd.DataFrame({"mean": [2.0, 3.0], "low": [1.0, 2.0], "high": [3.0, 4.0]}, CHANGES)
    means = {"own": own, "generic": generic, "random": 0.0}
    values = np.array(list(means.values()))[:, None, None] + rng.normal(0, 0.02, (3, 8, 2))
    coords = {"choice": list(means), "augmentation": CHANGES, "source": ("image", [source] * 8)}
    removed = xr.DataArray(values, dims=("choice", "image", "augmentation"), coords=coords)
    effects = removed.to_dataset(name="removed")
    return specificity.NeuronAccount(dataset, {source: halves}, {source: 2.5}, 10, effects, None)


def test_neurons_are_named_and_their_ablation_held_against_others():
    shares, ordinary = made(100, 1)
    source = str(shares["source"].values[0])
    found = cells(findings.answer(account(shares, ordinary), None, neurons_of(source)))
    row = found.loc["Which neurons are most specific, and to what?"]
    assert row["answer"] == "L1.N3 to planted"
    assert row["beside it"] == "to another image: none"
    row = found.loc["How many neurons carry half of what all neurons carry?"]
    assert (row["answer"], row["beside it"]) == ("a good part of them", "two originals: 2")
    question = "Does a shift go with its own neurons, more than with generic ones?"
    assert found.loc[question, "answer"] == "yes"
    alike = neurons_of(source, own=0.1)
    found = cells(findings.answer(account(shares, ordinary), None, alike))
    assert found.loc[question, "answer"] == "not surely"


def test_without_an_excess_nothing_is_distinguished():
    answer = answered(made(60, 3, excess=0))
    assert "cannot be distinguished" in answer.sentence
    assert answer.sentence.endswith(
        "No head surely carries more than its ordinary share under any change."
    )
    table = cells(answer)
    assert table.loc["Which accounts are surely not ordinary?", "answer"] == "none"
    assert table.loc["Which heads are most specific, and to what?", "answer"] == "none"


def test_an_account_carried_by_others_is_not_mostly_ordinary():
    answer = answered(made(60, excess=0.7))
    assert answer.sentence.startswith("Part of what carries a shift")


def test_sources_are_apart():
    answer = answered(made(60), made(60, 3, excess=0, source="photos"))
    assert "a minority of changes on scenes and no change on photos" in answer.sentence
    assert "planted (scenes)" in answer.sentence
    row = cells(answer).loc["Which heads are most specific, and to what?"]
    assert row["beside it"].endswith("of these on all images: none")
    both = cells(answered(made(60), made(60, 3, source="photos")))
    row = both.loc["Which heads are most specific, and to what?"]
    assert row["beside it"].endswith(f"of these on all images: {PLANTED} to planted")


def test_own_heads_that_remove_no_more_are_not_said_to():
    question = "Do a change's own heads remove more of its shift than another change's?"
    more = answered(made(60), removed=patched(0.4, 0.2))
    assert more.sentence.endswith(
        " Under every change, patching the heads that carry most of a change surely removes more of"
        " its shift than patching another change's and generic ones."
    )
    assert cells(more).loc[question, "answer"] == "under all"
    assert cells(more).loc[question, "beside it"].endswith("more than generic ones under all")
    same = answered(made(60), removed=patched(0.2, 0.2))
    assert "Under no change, patching the heads" in same.sentence
    assert cells(same).loc[question, "answer"] == "under none"
    row = cells(more).loc["Do later layers and other tokens pass a patch on?"]
    assert row["answer"] == "yes" and row["estimate"].startswith("total less direct effect: +20%")
    assert "by other tokens +12%" in row["estimate"]
    assert row["beside it"].startswith("random heads: +5%")


def test_heads_that_are_generic_too_remove_no_more_than_generic_ones():
    removed = patched(0.4, 0.2)
    removed.loc[{"choice": "generic"}] = removed.sel(choice="own").values
    found = answered(made(60), removed=removed)
    assert found.sentence.endswith(
        "another change's; under no change, more than patching generic ones."
    )


def test_what_the_pooled_tokens_pass_on_is_distinguished():
    removed = patched(0.4, 0.2)
    removed.loc[{"effect": "direct path"}] = 0.95 * removed.sel(effect="total").values
    row = cells(answered(made(60), removed=removed)).loc[
        "Do later layers and other tokens pass a patch on?"
    ]
    assert row["answer"] == "yes, mostly by way of the pooled tokens"


def test_nothing_moved_or_too_few_images_give_no_findings():
    shares, ordinary = made(10)
    still = findings.answer(account(0 * shares, ordinary))
    assert still.sentence == NOTHING_MOVED and not len(still.findings)
    few = findings.answer(account(shares[:2], ordinary.isel(image=slice(2))), patched(0.4, 0.2, 1))
    assert few.sentence == findings.TOO_FEW and not len(few.findings)


@pytest.mark.parametrize(
    "found, words",
    [
        ("ab", "a and b"),
        ("abcdefgh", "all but i"),
        ("abcdefghi", "all"),
        ("abcdef", "all but g, h and i"),
        ("", "none"),
    ],
)
def test_changes_are_listed_or_counted(found, words):
    assert findings.listed_changes(list(found), list("abcdefghi"), str) == words


def test_the_furthest_change_is_surely_so():
    rows = {"a": [0.3, 0.28, 0.32, True], "b": [0.2, 0.15, 0.25, True]}
    columns = ["distance", "low", "high", "own"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    assert findings.furthest(table) == "a"
    assert findings.furthest(table.assign(high=0.33)) is None
    assert findings.furthest(table[:1]) is None


def test_the_control_is_no_change():
    held = account(*made(60))
    assert isinstance(held, Account)
    assert ANOTHER not in findings.leading(held.excess["scenes"]).index
