"""What answers become, on answers that are made."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from helpers.analysis import becomes
from helpers.analysis.directions import zero_shot

N = 40
COLOURS = ["red", "blue"]
SHAPES = ["star", "square", "circle"]


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
    return becomes.before_after(made)


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
    found = becomes.answered(embeddings, texts)
    for view, image in np.ndindex(3, 4):
        fits = texts.values @ embeddings.values[view, image]
        assert found.values[view, image].tolist() == [
            COLOURS[fits[:2].argmax()],
            SHAPES[fits[2:].argmax()],
        ]
    again = becomes.named(zero_shot(embeddings, texts)["prediction"], texts)
    assert (again == found).all()


def test_before_and_after_count_every_image_once(made, table):
    assert (table.groupby(["augmentation", "property"])["images"].sum() == N).all()
    noise = table[(table["augmentation"] == "noise") & (table["property"] == "shape")]
    assert set(noise["after"]) == {"star"}
    counts = pd.Series(made.sel(view="original", property="shape").values).value_counts()
    assert noise.set_index("before")["images"].to_dict() == counts.to_dict()


def test_gains_in_plain_loops(made, table):
    found = becomes.gains(table).set_index(["augmentation", "property", "answer"]).sort_index()
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
    own = becomes.gains(table)
    tested = own.dropna(subset="q")
    assert {*tested["augmentation"]} == {"noise", "blur", "color_jitter"}
    # One answer alone: its family has one test, and q is p.
    star = table[(table["augmentation"] == "noise") & (table["before"] != "square")]
    alone = becomes.gains(star[star["property"] == "shape"]).set_index("answer")
    up = star[(star["before"] == "circle")]["images"].sum()
    assert alone.loc["star", "q"] == pytest.approx(stats.binomtest(up, up, 0.5).pvalue)


def test_chance_is_rarely_found():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(40):
        views = {name: {"shape": rng.choice(SHAPES, N)} for name in ("original", "noise", "blur")}
        found += becomes.gains(becomes.before_after(answers(**views)))["found"].any()
    assert found <= 4


def test_few_images_find_nothing(made):
    few = becomes.gains(becomes.before_after(made.isel(image=slice(5))))
    assert not few["found"].any()
    one = becomes.gains(becomes.before_after(made.isel(image=[0])))
    assert one["low"].isna().all()


def test_an_exchange_changes_answers_and_their_frequencies_not(table):
    changed = becomes.changed(table)
    assert changed.loc["color_jitter"].to_dict() == {"colour": N, "shape": 0}
    assert (changed.loc["elastic"] == 0).all()
    commonest = becomes.commonest(table)
    assert commonest.loc["color_jitter", ["before", "after"]].tolist() in (COLOURS, COLOURS[::-1])
    assert "elastic" not in commonest.index


def test_the_questions_that_change_most_are_kept(table):
    shares = {"scenes": becomes.changed(table) / N}
    kept = becomes.most_changed(shares, 1)["scenes"]
    assert kept.columns.tolist() == ["colour"] and kept["colour"].max() == 1
    assert becomes.most_changed(shares, 5)["scenes"].equals(shares["scenes"])


def test_few_words_for_every_kind(made):
    seen = becomes.seen_instead(made)
    assert seen["kind"].tolist() == ["description", "more often", "another", "nothing"]
    assert seen["words"].tolist() == [
        "a star",
        "more often square",
        "another colour",
        becomes.NOTHING_SURE,
    ]
    stars = int((made.sel(view="original", property="shape") == "star").sum())
    assert seen.loc["noise", "counts"] == f"{stars} → {N} of {N}"
    assert seen.loc["color_jitter", "counts"] == f"{N} of {N}"


def test_a_description_counts_images_that_it_fits_as_a_whole():
    half = np.arange(N) < N / 2
    before = {"fill": np.where(half, "dotted", "solid"), "shape": np.where(half, "square", "star")}
    after = {"fill": np.resize(["dotted"], N), "shape": np.resize(["star"], N)}
    row = becomes.seen_instead(answers(original=before, noise=after)).loc["noise"]
    assert row["words"] == "a dotted star"
    assert row["counts"] == f"0 → {N} of {N}"  # none was both, though half were each


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"shape": "star", "fill": "dotted"}, "a dotted star"),
        ({"colour": "orange"}, "an orange object"),
        ({"count": "four", "shape": "cross", "colour": "red"}, "four red crosses"),
        ({"count": "one", "shape": "star"}, "one star"),
        ({"background": "plain"}, "something on a plain background"),
        ({"shape": "star", "background": "plain"}, "a star on a plain background"),
        ({"weather": "thick fog", "art": "etching"}, "thick fog, etching"),
        ({"count": "four"}, "four"),
    ],
)
def test_descriptions_are_english(values, words):
    assert becomes.described(values) == words


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
    depths = becomes.by_depth(made, pd.DataFrame([row]))
    assert depths["gain"].tolist() == [0.9, 0, 0.6, 1]
    assert becomes.arises(depths)["depth"].tolist() == ["1"]
    none = becomes.by_depth(made, pd.DataFrame([row | {"answer": "circle"}]))
    assert becomes.arises(none)["depth"].tolist() == [""]
    assert becomes.arises(becomes.by_depth(made, pd.DataFrame(columns=row))).empty
