"""Concepts gained and lost, on embeddings that are sums of known texts."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis import concepts

VALUES = {"colour": ["red", "blue", "green"], "shape": ["star", "square", "circle"]}
NAMES = [value for own in VALUES.values() for value in own]
N, FEATURES = 60, 24


@pytest.fixture(scope="module")
def texts():
    values = np.random.default_rng(0).normal(size=(6, FEATURES))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    properties = [name for name, own in VALUES.items() for _ in own]
    coords = {"text": NAMES, "property": ("text", properties)}
    return xr.DataArray(values, dims=("text", "feature"), coords=coords)


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {name: rng.choice(own, N) for name, own in VALUES.items()},
        index=[f"image-{i}" for i in range(N)],
    )


def embedded(texts, labels, views):
    """Embed every view as the sum of the texts of its labels, and some noise."""
    rng = np.random.default_rng(2)
    sums = [
        sum(texts.sel(text=own[name].tolist()).values for name in VALUES)
        + 0.05 * rng.normal(size=(len(labels), FEATURES))
        for own in views.values()
    ]
    coords = {"view": list(views), "image": labels.index.to_numpy(object)}
    return xr.DataArray(np.stack(sums), dims=("view", "image", "feature"), coords=coords)


@pytest.fixture(scope="module")
def embeddings(texts, labels):
    turned = labels.assign(shape="star")
    return embedded(texts, labels, {"original": labels, "noise": turned, "elastic": labels})


def test_codes_are_few_positive_and_name_what_is_there(embeddings, texts, labels):
    weights = concepts.codes(embeddings, texts).sel(view="original")
    assert (weights >= 0).all()
    assert float((weights > 0).sum("text").mean()) < 4
    for name, own in VALUES.items():
        found = weights.sel(text=own)
        best = np.array(own)[found.transpose("image", "text").values.argmax(1)]
        assert (best == labels[name].to_numpy()).mean() > 0.95


def test_a_change_gains_what_it_makes_and_loses_what_it_takes(embeddings, texts):
    table = concepts.differences(concepts.codes(embeddings, texts))
    found = table[table["found"]].set_index(["augmentation", "concept"])
    assert found.loc[("noise", "star"), "gain"] > 0
    assert found.loc[("noise", "square"), "gain"] < 0
    assert found.loc[("noise", "circle"), "gain"] < 0
    still = table[table["augmentation"] == "elastic"]
    assert still["gain"].abs().max() < 0.1 * found.loc[("noise", "star"), "gain"]
    assert ((found["low"] <= found["gain"]) & (found["gain"] <= found["high"])).all()
    noise = table[table["augmentation"] == "noise"]
    assert noise["gain"].is_monotonic_decreasing
    assert noise["concept"].iloc[0] == "star"


def test_the_positive_control_finds_and_the_null_does_not(embeddings, texts, labels):
    found = concepts.gained_and_lost(embeddings, texts, labels)
    assert found.positive["found"].all() and found.positive["first"].all()
    assert set(found.positive["value"]) == set(NAMES)
    assert not found.null["found"].any() and len(found.null)


def test_the_positive_control_can_fail(embeddings, texts, labels):
    shuffled = labels.apply(lambda own: np.random.default_rng(3).permutation(own))
    found = concepts.gained_and_lost(embeddings, texts, shuffled).positive
    assert found["found"].mean() < 0.2


def test_answers_stand_in_where_nothing_is_known(embeddings, texts, labels):
    unknown = pd.DataFrame({"caption": ["a scene"] * N}, index=labels.index)
    known, own = (concepts.gained_and_lost(embeddings, texts, t) for t in (labels, unknown))
    assert own.positive["found"].all()
    assert len(own.positive) == len(known.positive)


def test_few_images_find_nothing(embeddings, texts, labels):
    for images in (1, 2):
        found = concepts.gained_and_lost(embeddings.isel(image=slice(images)), texts, labels)
        assert not found.table["found"].any()
        assert found.positive.empty
        assert not found.null["found"].any()


def test_tables_side_by_side_have_the_same_rows(embeddings, texts):
    table = concepts.differences(concepts.codes(embeddings, texts))
    names = ["noise", "elastic"]
    tables = {"photos": table, "scenes": table.assign(found=False)}
    cells = concepts.grid(tables, changes=names)
    assert list(cells["photos"].index) == list(cells["scenes"].index)
    assert cells["photos"].loc["star", "noise"] > 0
    assert cells["scenes"].isna().all(axis=None)
    assert list(cells["photos"].columns) == names
    empty = concepts.grid({"a": table.iloc[:0]}, changes=names)["a"]
    assert list(empty.index) == [""] and list(empty.columns) == names


def test_nothing_moves_no_concept(texts, labels):
    still = embedded(texts, labels, {"original": labels})
    still = xr.concat([still, still.assign_coords(view=["noise"])], "view")
    found = concepts.gained_and_lost(still, texts, labels)
    assert found.table.empty and found.positive["found"].all()
