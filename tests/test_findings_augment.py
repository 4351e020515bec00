import numpy as np
import pandas as pd
import pytest

from helpers.analysis.scores import pixel_effects
from helpers.findings.augment import NOTHING_CHANGED, answer

CHANGES = ["noise", "turned", "shifted"]


@pytest.fixture
def drawn():
    """An even slope, the same with noise, with a black border, and a grey level brighter."""
    rng = np.random.default_rng(0)
    original = np.tile(np.arange(40, 72, dtype=np.uint8)[None, :, None], (32, 1, 3))
    noisy = rng.integers(1, 256, original.shape, dtype=np.uint8)
    turned = original.copy()
    turned[:8] = 0
    return np.stack([original, noisy, turned, original + 1])


def tables(drawn):
    found = pd.DataFrame(pixel_effects(drawn), index=CHANGES)
    change = found["change"].to_frame("mean").assign(low=0.0, high=255.0)
    return {"photos": change}, {"photos": found}


def test_effects_are_those_of_what_was_done(drawn):
    found = pd.DataFrame(pixel_effects(drawn), index=CHANGES)
    assert found.loc["turned", ["pixels", "black"]].tolist() == [0.25, 0.25]
    assert found.loc["shifted", ["change", "pixels", "black", "grain"]].tolist() == [1, 1, 0, 1]
    assert found.loc["noise", "grain"] > 50
    assert found.loc["noise", "black"] == 0


def test_nothing_changed_has_no_grain(drawn):
    found = pixel_effects(np.stack([drawn[0]] * 2))
    assert found["change"] == 0 and np.isnan(found["grain"])


def test_artefacts_are_named(drawn):
    found = answer(*tables(drawn))
    assert found.sentence.startswith("Noise changes pixels most. Turned turns pixels black; noise")
    assert "puts noise into every pixel it touches" in found.sentence
    assert [row.answer for row in found.findings] == ["noise", "turned", "noise"]
    assert found.findings[1].estimate == "25% of the pixels"


def test_without_artefacts_none_are_named(drawn):
    change, effects = tables(drawn)
    mild = [{s: own.loc[["shifted"]] for s, own in each.items()} for each in (change, effects)]
    found = answer(*mild)
    assert found.sentence == "Shifted changes pixels most."
    assert [row.answer for row in found.findings[1:]] == ["none", "none"]


def test_unchanged_images_say_so(drawn):
    change, effects = tables(np.stack([drawn[0]] * 4))
    assert answer(change, effects).sentence == NOTHING_CHANGED


def test_black_beyond_an_edge_is_a_border_however_narrow(drawn):
    drawn[2, 1:8] = drawn[0, 1:8]
    drawn[2, 0, 8:] = drawn[0, 0, 8:]
    found = answer(*tables(drawn), bordered=["turned", "shifted"])
    assert "Turned leaves black borders; noise" in found.sentence
    assert "pixels black" not in found.sentence
    row = found.findings[1]
    assert row.answer == "turned" and row.estimate == "of the pixels: 0.8%"
    assert found.findings[2].answer == "none"
