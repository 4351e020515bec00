"""Responses over severity: crossings, equal pixel change, and what has no answer."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis import severity
from helpers.analysis.statistics import RESAMPLES
from helpers.checks import WorkbookError

SEVERITIES = np.array([0.5, 1.0, 2.0, 3.0])


def response(curves, images=20, spread=0.02):
    """Responses (severity, image, augmentation) whose means over images are the curves."""
    offsets = spread * np.linspace(-1, 1, images)
    values = np.stack(list(curves.values()), axis=-1)[:, None] + offsets[:, None]
    coords = {"severity": SEVERITIES, "augmentation": list(curves)}
    return xr.DataArray(values, dims=("severity", "image", "augmentation"), coords=coords)


CURVES = {
    "noise": [0.8, 0.7, 0.6, 0.5],
    "blur": [1.0, 0.95, 0.85, 0.5],
    "elastic": [1.0, 1.0, 0.99, 0.98],
    "horizontal_flip": [0.85, 0.85, 0.85, 0.85],
}


def test_crossings_are_interpolated_and_said_in_words():
    table = severity.crossings(response(CURVES))
    assert table.loc["blur", "severity"] == pytest.approx(1.5)
    assert table.loc["blur", "low"] < 1.5 < table.loc["blur", "high"]
    assert table.loc["blur", "answer"].startswith("1.50 [1.4")
    assert dict(table["answer"].drop("blur")) == {
        "noise": "< 0.5",
        "elastic": "> 3",
        "horizontal_flip": "no strength",
    }
    assert table["severity"].isna().sum() == 1


def test_an_interval_may_end_beyond_the_range():
    curves = {"elastic": [1.0, 0.97, 0.94, 0.901], "blur": [0.9005, 0.8, 0.7, 0.6]}
    table = severity.crossings(response(curves))
    assert table.loc["elastic", "answer"].startswith("> 3 [2.")
    assert table.loc["elastic", "answer"].endswith("> 3]")
    assert table.loc["blur", "low"] == -np.inf


def test_the_first_crossing_of_a_curve_that_comes_back_counts():
    table = severity.crossings(response({"blur": [1.0, 0.8, 0.95, 0.7]}, spread=0))
    assert table.loc["blur", "severity"] == pytest.approx(0.75)


def test_the_bootstrap_keeps_an_images_curve_together():
    values = response({"blur": CURVES["blur"]}, images=7)
    table = severity.crossings(values)
    counts = np.random.default_rng(0).multinomial(7, np.full(7, 1 / 7), size=RESAMPLES)
    crossed = []
    for row in counts:
        curve = [float(row @ each[:, 0]) / 7 for each in values.values]
        before = max(at for at in range(3) if min(curve[: at + 1]) >= 0.9)
        part = (curve[before] - 0.9) / (curve[before] - curve[before + 1])
        crossed.append(SEVERITIES[before] + part * np.diff(SEVERITIES)[before])
    expected = np.quantile(crossed, [0.025, 0.975], method="inverted_cdf")
    np.testing.assert_allclose(table.loc["blur", ["low", "high"]].astype(float), expected)


def test_one_image_has_answers_and_no_interval():
    table = severity.crossings(response(CURVES, images=1, spread=0))
    assert table["low"].isna().all()
    assert table.loc["blur", "answer"] == "1.50"


def test_equal_change_is_read_from_the_curve_and_never_beyond_it():
    change = response({"noise": [0.1, 0.2, 0.3, 0.4], "blur": [0.0, 0.1, 0.15, 0.2]}, spread=0.01)
    similarity = response({"noise": [1.0, 0.8, 0.6, 0.4], "blur": [1.0, 0.9, 0.8, 0.5]})
    table = severity.at_equal_change(change, similarity, [0.15, 0.3])
    rows = table.set_index(["augmentation", "change"])
    assert rows.loc[("noise", 0.15), "mean"] == pytest.approx(0.9)
    assert rows.loc[("noise", 0.3), "mean"] == pytest.approx(0.6)
    assert rows.loc[("blur", 0.15), "mean"] == pytest.approx(0.8)
    assert rows.loc[("blur", 0.3)].isna().all()
    own = rows.loc[("noise", 0.15)]
    assert own["low"] < own["mean"] < own["high"]


def test_a_curve_begins_at_no_change():
    change = response({"noise": [0.1, 0.2, 0.3, 0.4]}, spread=0)
    similarity = response({"noise": [0.8, 0.7, 0.6, 0.5]}, spread=0)
    row = severity.at_equal_change(change, similarity, [0.05]).iloc[0]
    assert row["mean"] == pytest.approx(0.9)


def test_equal_change_at_the_end_of_a_curve_has_no_interval():
    change = response({"noise": [0.1, 0.2, 0.3, 0.4]}, spread=0.01)
    row = severity.at_equal_change(change, response({"noise": CURVES["noise"]}), [0.4]).iloc[0]
    assert row["mean"] == pytest.approx(0.5)
    assert np.isnan(row["low"]) and np.isnan(row["high"])


def test_no_dose_has_no_curve():
    change = response({"horizontal_flip": [0.2] * 4})
    flip = response({"horizontal_flip": [0.85] * 4})
    assert severity.at_equal_change(change, flip, [0.2])["mean"].isna().all()
    assert not severity.has_dose(flip)["horizontal_flip"]


def test_dose_response_is_the_mean_of_every_severity():
    values = response(CURVES)
    table = severity.dose_response(values)
    assert len(table) == 16
    found = table.pivot(index="severity", columns="augmentation", values="mean")[list(CURVES)]
    np.testing.assert_allclose(found, values.mean("image"))


def test_other_axes_and_other_images_are_refused():
    values = response(CURVES)
    with pytest.raises(WorkbookError, match="severity, image, augmentation"):
        severity.crossings(values.isel(severity=0))
    with pytest.raises(WorkbookError, match="differ in severity"):
        severity.at_equal_change(values, values.isel(severity=slice(2)), [0.1])
