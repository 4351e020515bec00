"""What numbers are where there is little to compute them from, and what NaN and infinity do."""

import warnings
from itertools import count

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

from helpers.analysis import dissection, proximity, scores, statistics
from helpers.analysis.order import rank_augmentations
from helpers.analysis.statistics import correlate_scores, mean_with_interval, summarise
from helpers.checks import WorkbookError
from helpers.clip import load
from helpers.data import AUGMENTATIONS, VIEWS, views
from helpers.figures import scores as figures
from helpers.runs import open_run
from helpers.runs.compute import engine
from helpers.runs.compute.output_variables import CONTENT, content_of

NAMES = list(AUGMENTATIONS)
ONE_COLOUR = ("edge_similarity", "detail_similarity")


def filled(level, height=32, width=32):
    return np.full((height, width, 3), level, np.uint8)


UNIFORM = {
    "black": filled(0),
    "saturated": filled(255),
    "constant": filled(77),
    "one pixel": filled(200, 1, 1),
}
PICTURES = UNIFORM | {
    "1 × 10,000": np.arange(30000, dtype=np.uint8).reshape(10000, 1, 3),
    "black and white": filled(0)
    + 255 * (np.indices((32, 32)).sum(0) % 2)[..., None].astype(np.uint8),
}


@pytest.fixture(scope="module")
def model():
    return load("embedded", device="cpu")


@pytest.fixture(scope="module")
def drawn():
    """Views of each picture: original and augmented ones."""
    return {name: np.stack(list(views(one, name).values())) for name, one in PICTURES.items()}


# Pictures


@pytest.mark.parametrize("name", PICTURES)
def test_scores_of_pixels_have_a_value_unless_there_is_nothing_to_compare(name, drawn):
    original, augmented = drawn[name][0], drawn[name][1:]
    found = scores.pixel_scores(original, augmented)
    for score, values in found.items():
        if name in UNIFORM and score in ONE_COLOUR:
            assert np.isnan(values).all()
        else:
            assert np.isfinite(values).all() or score in ONE_COLOUR
            assert np.nanmin(values) >= 0
            assert np.nanmax(values) <= 1


@pytest.mark.parametrize("name", UNIFORM)
def test_a_picture_of_one_colour_is_the_same_as_itself(name, drawn):
    original = drawn[name][:1]
    found = scores.pixel_scores(original, original)
    assert found["pixel_change"] == 0
    assert found["patch_similarity"] == 1
    assert np.isnan([found[score] for score in ONE_COLOUR]).all()


@pytest.mark.parametrize("name", PICTURES)
def test_the_model_reads_and_accounts_for_every_picture(name, drawn, model):
    encoding = model.encode(drawn[name], by_token=True)
    np.testing.assert_allclose(encoding.total(), encoding.embedding, atol=1e-5)
    original, augmented = model.encode(drawn[name][:1]), model.encode(drawn[name][1:])
    found = dissection.shares(original, augmented).sum("component")
    moved = np.linalg.norm(augmented.embedding - original.embedding, axis=1)
    none = moved <= dissection.NO_SHIFT * np.linalg.norm(original.embedding)
    np.testing.assert_allclose(found, np.where(none, 0, 1), atol=1e-4)


# Few images, ties, nothing defined


def values(*rows):
    rows = np.array(rows, float)
    return xr.DataArray(
        rows,
        dims=("image", "augmentation"),
        coords={"image": range(len(rows)), "augmentation": NAMES[: rows.shape[1]]},
    )


ONE, TWO = values([1, 2, 3]), values([1, 2, 3], [3, 2, 3])
TIED = values(*[[2, 2, 2]] * 5)
NONE = values(*[[np.nan] * 3] * 4)
PART = values([1, np.nan, 3], [2, np.nan, 4], [3, np.nan, np.nan])


def test_one_image_has_a_mean_and_no_interval():
    table = mean_with_interval(ONE)
    assert table["mean"].tolist() == [1, 2, 3]
    assert table[["low", "high", "sd"]].isna().all(axis=None)
    assert table["n"].tolist() == [1, 1, 1]
    assert rank_augmentations(ONE, higher_is_closer=False).table["agreement"].isna().all()
    pairs = statistics.paired_differences(ONE)
    assert pairs[["low", "high", "p", "q"]].isna().all(axis=None)
    assert not pairs["differs"].any()


def test_two_images_have_an_interval_between_them_and_no_test():
    table = mean_with_interval(TWO)
    assert table["mean"].tolist() == [2, 2, 3]
    assert table.loc[NAMES[0], ["low", "high"]].tolist() == [1, 3]
    assert table.loc[NAMES[1], ["low", "high"]].tolist() == [2, 2]
    pairs = statistics.paired_differences(TWO)
    assert pairs[["low", "high", "p", "q"]].isna().all(axis=None)


def test_ties_share_a_rank_and_nothing_differs():
    ranking = rank_augmentations(TIED, higher_is_closer=True)
    assert ranking.table["rank"].tolist() == [1, 1, 1]
    assert ranking.order_agreement == 1
    pairs = statistics.paired_differences(TIED)
    assert (pairs["p"] == 1).all()
    assert not pairs["differs"].any()
    found = correlate_scores(xr.Dataset({"one": TIED, "other": TIED}))
    assert np.isnan(found["estimate"].sel(score="one", other="other"))


def test_where_nothing_is_defined_nothing_is_claimed():
    table = mean_with_interval(NONE)
    assert table[["mean", "low", "high", "sd"]].isna().all(axis=None)
    assert table["n"].tolist() == [0, 0, 0]
    with pytest.raises(WorkbookError, match="0 complete images"):
        statistics.paired_differences(NONE)
    found = correlate_scores(xr.Dataset({"one": NONE, "other": NONE}))
    assert found["n"] == 0
    assert found["estimate"].isnull().all()


def test_what_is_not_defined_is_left_out_and_n_tells():
    table = mean_with_interval(PART)
    assert table["n"].tolist() == [3, 0, 2]
    assert table["mean"].tolist()[::2] == [2, 3.5]
    assert np.isnan(table["mean"].iloc[1])


@pytest.mark.parametrize("function", [mean_with_interval, rank_augmentations])
def test_infinity_enters_no_mean(function):
    options = {"higher_is_closer": True} if function is rank_augmentations else {}
    with pytest.raises(WorkbookError, match=r"1 of the 3 values are infinite"):
        function(values([1, np.inf, 3]), **options)


FIGURES = {
    "heatmap": lambda every: figures.score_heatmap(summarise(every)),
    "density": lambda every: figures.l2_density(every["l2_distance"]),
    "profiles": lambda every: figures.profiles(summarise(every)),
    "means": lambda every: figures.mean_bars(summarise(every)),
    "means with sd": lambda every: figures.mean_bars(summarise(every), whisker="sd"),
    "comparison": lambda every: figures.comparison_bars(summarise(every)),
    "images": lambda every: figures.image_heatmap(every["edge_similarity"]),
    "histograms": lambda every: figures.histograms(every["edge_similarity"]),
    "radar": lambda every: figures.radar_grid(summarise(every)),
    "ranks": lambda every: figures.rank_heatmap(
        rank_augmentations(every["l2_distance"], higher_is_closer=False), title=""
    ),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_of_nothing_defined_are_drawn_without_a_warning(figure):
    every = xr.Dataset(dict.fromkeys(scores.SCORES, NONE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = FIGURES[figure](every)
        drawn.get_figure().draw_without_rendering()
    plt.close("all")


# NaN and infinity


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", scores.SCORES.values(), ids=lambda row: row.name)
def test_a_number_that_is_not_finite_gives_no_score_and_spoils_no_other(row, broken):
    shapes = {"embedding": (3, 8), "attention": (3, 7, 7), "pixels": (3, 32, 32, 3)}
    one, other = np.random.default_rng(0).uniform(1, 255, (2, *shapes[row.needs]))
    expected = row.function(one, other)
    other[1].flat[5] = broken
    if row.needs == "pixels":
        with pytest.raises(WorkbookError, match="floats from 0 to 255"):
            row.function(one, other)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = row.function(one, other)
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
    assert np.isnan(found[1])


def test_shares_of_nan_are_nan():
    original, augmented = np.random.default_rng(1).normal(size=(2, 4, 1, 5, 8))
    augmented[2, 0, 1, 3] = np.nan
    found = dissection.shift_shares(original, augmented)
    assert np.isnan(found[2]).all()
    assert np.isfinite(found[[0, 1, 3]]).all()


def test_images_without_a_direction_are_in_no_cluster():
    embeddings = np.random.default_rng(2).normal(size=(4, 3, 8))
    expected = proximity.mean_cosine_distance(embeddings[1:])
    embeddings[0, 1] = np.nan
    np.testing.assert_allclose(proximity.mean_cosine_distance(embeddings), expected)
    with pytest.raises(WorkbookError, match="zero or not a number"):
        proximity.mean_cosine_distance(np.full((2, 3, 8), np.nan))


@pytest.mark.parametrize("images_per_pass", [1, 2])
def test_an_image_of_which_the_model_gives_nan_is_told_and_in_no_mean(
    images_per_pass, parameters, monkeypatch
):
    plain = engine.encoded
    passes = count()

    def broken(*arguments):
        found = plain(*arguments)
        if next(passes) == 1:  # that of 1.png, and of 2.png where two share a pass
            found["embedding"][0, VIEWS.index("blur"), 3] = np.inf
        return found

    monkeypatch.setattr(engine, "encoded", broken)
    config = engine.DeviceConfig(images_per_pass, 0, False)
    monkeypatch.setitem(engine.DEVICE_CONFIGS, "cpu", config)
    run = open_run(**parameters | {"workers": 1, "layers": 1})
    told = run.unreadable.set_index("image")["reason"]
    assert sorted(told.index) == ["-broken.png", "1.png"]
    assert told["1.png"] == (
        "Image '1.png' can't be read: the model gives numbers for it that are not"
        " finite, or too large to be kept."
    )
    found = run.scores()
    assert found["image"].values.tolist() == ["0.png", "2.png", "3.png", "4.png", "5.png"]
    assert np.isfinite(found["l2_distance"]).all()
    assert (mean_with_interval(found["l2_distance"])["n"] == 5).all()
    kept = run._store._arrays.read([CONTENT.name])[CONTENT.name].sel(image="2.png")
    np.testing.assert_array_equal(kept, content_of(run.images[3].pixels))


def test_a_text_of_which_the_model_gives_nan_is_told(model, monkeypatch):
    encode = model.clip.encode_text

    def broken(tokens):
        found = encode(tokens)
        found[1] = torch.nan
        return found

    monkeypatch.setattr(model.clip, "encode_text", broken)
    with pytest.raises(WorkbookError, match="not finite for the text 'a blue object'"):
        model.encode_text(["a red object", "a blue object"])
