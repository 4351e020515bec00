"""Notebook 02's words follow its numbers."""

import numpy as np
import pandas as pd

from helpers.analysis import shifts
from helpers.analysis.statistics import mean_with_interval
from helpers.findings import NOTHING_MOVED, embed
from tests.test_analysis_shifts import collapsed, exchanged, scattered, views


def answer(own, cosines):
    values = np.array([cosines] * own.sizes["image"], float)
    values += np.linspace(-0.01, 0.01, len(values))[:, None]
    names = [name for name in own["view"].values if name != "original"]
    means = mean_with_interval(pd.DataFrame(np.minimum(values, 1), columns=names))
    table = shifts.energy(own)
    return embed.answer({"photos": means}, {"photos": table}, name=lambda n: n.replace("_", " "))


def rows(found):
    return found.table.set_index("question")


def test_a_collapse_is_named():
    found = answer(views(noise=collapsed, blur=scattered), [0.3, 0.9])
    assert found.sentence.startswith("Noise makes all images collapse")
    assert "each image mostly in its own way" in found.sentence
    own = rows(found)
    assert own.loc["Which change moves images furthest?", "answer"] == "noise"
    assert own.loc["Which changes make images collapse?", "answer"] == "noise"
    assert own["answer"].loc[own.index.str.startswith("How much of the variance")].item() == (
        "most is lost"
    )


def test_images_exchanged_for_others_are_no_collapse():
    found = answer(views(noise=exchanged, blur=scattered), [0.3, 0.9])
    assert "no change makes them collapse" in found.sentence
    assert rows(found).loc["Which changes make images collapse?", "answer"] == "none"


def test_a_single_image_gets_distances_alone():
    found = answer(views(noise=collapsed, blur=scattered).isel(image=[0]), [0.3, 0.9])
    assert len(found.findings) == 2
    assert found.sentence == (
        "Noise moves images furthest; where to takes more than two images to say."
    )


def test_nothing_moved():
    found = answer(views(noise=np.copy, blur=np.copy).isel(image=[0]), [1.0, 1.0])
    assert found.sentence != NOTHING_MOVED  # 1 less a hundredth is a shift
    still = pd.DataFrame({"mean": [1.0], "low": 1.0, "high": 1.0}, index=["noise"])
    table = shifts.energy(views(noise=np.copy))
    assert embed.answer({"photos": still}, {"photos": table}).sentence == NOTHING_MOVED


def test_an_interval_that_says_nothing_is_not_about_half():
    found = {
        high: embed._how_much(pd.Series({"low": low, "high": high}))
        for low, high in ((0.1, 0.4), (0.45, 0.6), (0.28, 3.24), (0.6, 0.9))
    }
    assert [*found.values()] == [
        "most is lost",
        "about half",
        "too few images to say",
        "most is left",
    ]
