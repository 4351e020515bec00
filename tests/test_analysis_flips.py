"""What answers become and which concepts images gain, where both are made."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from helpers.analysis import flips, predictions
from helpers.analysis.predictions import zero_shot

N = 40
COLOURS = ["red", "blue"]
SHAPES = ["star", "square", "circle"]
VALUES = {"colour": ["red", "blue", "green"], "shape": ["star", "square", "circle"]}
NAMES = [value for own in VALUES.values() for value in own]
IMAGES, FEATURES = 60, 24


def answers(**views):
    """Make answers from view → property → the answer of every image."""
    values = np.array([[list(own[name]) for name in own] for own in views.values()], dtype=object)
    return xr.DataArray(
        values,
        dims=("view", "property", "image"),
        coords={"view": list(views), "property": list(next(iter(views.values())))},
    ).transpose("image", "view", "property")


@pytest.fixture
def made():
    colour, shape = np.resize(COLOURS, N), np.resize(SHAPES, N)
    mirrored = np.where(colour == "red", "blue", "red")
    return answers(
        original={"colour": colour, "shape": shape},
        noise={"colour": colour, "shape": np.resize(["star"], N)},
        blur={"colour": colour, "shape": np.where(np.arange(N) < 14, "square", shape)},
        color_jitter={"colour": mirrored, "shape": shape},
        elastic={"colour": colour, "shape": shape},
    )


@pytest.fixture
def table(made):
    return flips.before_after(made)


def test_answers_are_the_texts_that_fit_best():
    rng = np.random.default_rng(0)
    texts = xr.DataArray(
        rng.normal(size=(5, 8)),
        dims=("text", "feature"),
        coords={
            "text": [*COLOURS, *SHAPES],
            "property": ("text", ["colour"] * 2 + ["shape"] * 3),
        },
    )
    embeddings = xr.DataArray(rng.normal(size=(3, 4, 8)), dims=("view", "image", "feature"))
    found = predictions.answered(embeddings, texts)
    for view, image in np.ndindex(3, 4):
        fits = texts.values @ embeddings.values[view, image]
        assert found.values[view, image].tolist() == [
            COLOURS[fits[:2].argmax()],
            SHAPES[fits[2:].argmax()],
        ]
    again = predictions.named(zero_shot(embeddings, texts)["prediction"], texts)
    assert (again == found).all()


def test_before_and_after_count_every_image_once(made, table):
    assert (table.groupby(["augmentation", "property"])["images"].sum() == N).all()
    noise = table[(table["augmentation"] == "noise") & (table["property"] == "shape")]
    assert set(noise["after"]) == {"star"}
    counts = pd.Series(made.sel(view="original", property="shape").values).value_counts()
    assert noise.set_index("before")["images"].to_dict() == counts.to_dict()


def test_gains_in_plain_loops(made, table):
    found = flips.gains(table).set_index(["augmentation", "property", "answer"]).sort_index()
    for (change, name, answer), row in found.iterrows():
        before, after = (
            made.sel(view=view, property=name).values == answer for view in ("original", change)
        )
        assert (row["before"], row["after"]) == (before.sum(), after.sum())
        assert row["gain"] == pytest.approx((after.sum() - before.sum()) / N)
        assert row["low"] <= row["gain"] <= row["high"]
    assert found.loc[("noise", "shape", "star"), "found"]
    assert not found.loc["elastic", "found"].any()
    assert not found.loc["color_jitter", "found"].any()  # as many to red as to blue


def test_the_test_is_mcnemars(table):
    own = flips.gains(table)
    tested = own.dropna(subset="q")
    assert {*tested["augmentation"]} == {"noise", "blur", "color_jitter"}
    # One answer alone: its family has one test, and q is p.
    star = table[(table["augmentation"] == "noise") & (table["before"] != "square")]
    alone = flips.gains(star[star["property"] == "shape"]).set_index("answer")
    up = star[(star["before"] == "circle")]["images"].sum()
    assert alone.loc["star", "q"] == pytest.approx(stats.binomtest(up, up, 0.5).pvalue)


def test_chance_is_rarely_found():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(40):
        views = {name: {"shape": rng.choice(SHAPES, N)} for name in ("original", "noise", "blur")}
        found += flips.gains(flips.before_after(answers(**views)))["found"].any()
    assert found <= 4


def test_few_images_find_nothing(made):
    few = flips.gains(flips.before_after(made.isel(image=slice(5))))
    assert not few["found"].any()
    one = flips.gains(flips.before_after(made.isel(image=[0])))
    assert one["low"].isna().all()


def test_an_exchange_changes_answers_and_their_frequencies_not(table):
    changed = flips.changed(table)
    assert changed.loc["color_jitter"].to_dict() == {"colour": N, "shape": 0}
    assert (changed.loc["elastic"] == 0).all()
    commonest = flips.commonest(table)
    assert commonest.loc["color_jitter", ["before", "after"]].tolist() in (COLOURS, COLOURS[::-1])
    assert "elastic" not in commonest.index


def test_the_questions_that_change_most_are_kept(table):
    shares = {"scenes": flips.changed(table) / N}
    kept = flips.most_changed(shares, 1)["scenes"]
    assert kept.columns.tolist() == ["colour"] and kept["colour"].max() == 1
    assert flips.most_changed(shares, 5)["scenes"].equals(shares["scenes"])


def test_an_answer_arises_where_half_of_its_gain_stays():
    before = np.array([[False] * 10] * 4)
    after = np.array([[True] * 9 + [False], [False] * 10, [True] * 6 + [False] * 4, [True] * 10])
    names = np.where(np.stack([before, after]), "star", "square").astype(object)
    made = xr.DataArray(
        names[..., None],
        dims=("view", "depth", "image", "property"),
        coords={"view": ["original", "noise"], "depth": ["start", *"012"], "property": ["shape"]},
    )
    row = {"augmentation": "noise", "property": "shape", "answer": "star"}
    depths = flips.by_depth(made, pd.DataFrame([row]))
    assert depths["gain"].tolist() == [0.9, 0, 0.6, 1]
    assert flips.arises(depths)["depth"].tolist() == ["1"]
    none = flips.by_depth(made, pd.DataFrame([row | {"answer": "circle"}]))
    assert flips.arises(none)["depth"].tolist() == [""]
    assert flips.arises(flips.by_depth(made, pd.DataFrame(columns=row))).empty


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
        {name: rng.choice(own, IMAGES) for name, own in VALUES.items()},
        index=[f"image-{i}" for i in range(IMAGES)],
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
    weights = flips.codes(embeddings, texts).sel(view="original")
    assert (weights >= 0).all()
    assert float((weights > 0).sum("text").mean()) < 4
    for name, own in VALUES.items():
        found = weights.sel(text=own)
        best = np.array(own)[found.transpose("image", "text").values.argmax(1)]
        assert (best == labels[name].to_numpy()).mean() > 0.95


def test_a_change_gains_what_it_makes_and_loses_what_it_takes(embeddings, texts):
    table = flips.differences(flips.codes(embeddings, texts))
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
    found = flips.gained_and_lost(embeddings, texts, labels)
    assert found.positive["found"].all() and found.positive["first"].all()
    assert set(found.positive["value"]) == set(NAMES)
    assert not found.null["found"].any() and len(found.null)


def test_the_positive_control_can_fail(embeddings, texts, labels):
    shuffled = labels.apply(lambda own: np.random.default_rng(3).permutation(own))
    found = flips.gained_and_lost(embeddings, texts, shuffled).positive
    assert found["found"].mean() < 0.2


def test_answers_stand_in_where_nothing_is_known(embeddings, texts, labels):
    unknown = pd.DataFrame({"caption": ["a scene"] * IMAGES}, index=labels.index)
    known, own = (flips.gained_and_lost(embeddings, texts, t) for t in (labels, unknown))
    assert own.positive["found"].all()
    assert len(own.positive) == len(known.positive)


def test_few_images_find_no_concept(embeddings, texts, labels):
    for images in (1, 2):
        found = flips.gained_and_lost(embeddings.isel(image=slice(images)), texts, labels)
        assert not found.table["found"].any()
        assert found.positive.empty
        assert not found.null["found"].any()


def test_tables_side_by_side_have_the_same_rows(embeddings, texts):
    table = flips.differences(flips.codes(embeddings, texts))
    names = ["noise", "elastic"]
    tables = {"photos": table, "scenes": table.assign(found=False)}
    cells = flips.grid(tables, changes=names)
    assert list(cells["photos"].index) == list(cells["scenes"].index)
    assert cells["photos"].loc["star", "noise"] > 0
    assert cells["scenes"].isna().all(axis=None)
    assert list(cells["photos"].columns) == names
    empty = flips.grid({"a": table.iloc[:0]}, changes=names)["a"]
    assert list(empty.index) == [""] and list(empty.columns) == names


def test_nothing_moves_no_concept(texts, labels):
    still = embedded(texts, labels, {"original": labels})
    still = xr.concat([still, still.assign_coords(view=["noise"])], "view")
    found = flips.gained_and_lost(still, texts, labels)
    assert found.table.empty and found.positive["found"].all()
