"""What notebook 15 answers, of made arrays of which the right answer is known."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers.analysis.specificity import account
from helpers.data import SETS
from helpers.findings import NOTHING_MOVED
from helpers.findings import attack as findings
from helpers.findings.seen import MORE_OFTEN, NOTHING
from tests.test_analysis_specificity import PLANTED, made

ATTACKS = SETS["attacks"]


def similarities(adversarial, noise=0.999, source="scenes"):
    count = len(adversarial)
    values = np.full((count, len(ATTACKS)), 0.9)
    values[:, ATTACKS.index("adversarial")] = adversarial
    values[:, ATTACKS.index("adversarial_noise")] = noise
    coords = {"augmentation": list(ATTACKS), "source": ("image", [source] * count)}
    return xr.DataArray(values, dims=("image", "augmentation"), coords=coords)


def table(adversarial, others=(0.1, 0.05, 0.15), **more):
    rows = dict.fromkeys(ATTACKS, (*others, 10)) | {"adversarial": (*adversarial, 10)}
    rows |= {name: (*own, 10) for name, own in more.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high", "n"])


def seen(words, kind=MORE_OFTEN):
    rows = dict.fromkeys(ATTACKS, (NOTHING, "nothing else for sure", "–", 10))
    rows["adversarial"] = (kind, words, "1 → 9 of 10", 10)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["kind", "words", "counts", "n"])


def cells(answer):
    return answer.table.set_index("question")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((1.4, 1.2, 1.6), "further than another image"),
        ((1.0, 0.8, 1.2), "about as far as another image"),
        ((0.7, 0.6, 0.8), "most of the way to another image"),
        ((0.3, 0.2, 0.4), "part of the way to another image"),
    ],
)
def test_how_far_it_goes_is_said_beside_another_image(row, words):
    moved = {"scenes": table(row, adversarial_noise=(0.002, 0.001, 0.003))}
    answer = findings.answer(similarities([0.5, 0.4, 0.4]), moved)
    assert words in answer.sentence
    assert "noise of the same size hardly moves it" in answer.sentence
    assert answer.findings[0].answer == words
    assert answer.findings[0].beside == "noise of its size: 0.002"


def test_noise_that_moves_as_much_is_said():
    moved = {"scenes": table((0.3, 0.2, 0.4), adversarial_noise=(0.3, 0.2, 0.4))}
    answer = findings.answer(similarities([0.9, 0.999, 0.999], noise=0.95), moved)
    assert "moves it, too" in answer.sentence
    row = cells(answer).loc["Does it move further than noise of its size?"]
    assert (row["answer"], row["estimate"]) == ("no", "1 of 3")


def test_every_image_is_counted_in_its_source():
    both = xr.concat(
        [similarities([0.5] * 3), similarities([0.4, 0.9999], source="photos")], "image"
    )
    row = cells(findings.answer(both, {})).loc["Does it move further than noise of its size?"]
    assert (row["answer"], row["estimate"]) == ("on most", "scenes 3 of 3; photos 1 of 2")


def test_what_is_seen_and_lost_stands_beside_other_attacks():
    answer = findings.answer(
        similarities([0.5] * 3),
        {},
        {
            "scenes": seen("more often green"),
            "photos": seen("nothing else for sure", NOTHING),
        },
        {"scenes": table((0.4, 0.3, 0.5), (0.0, -0.1, 0.1), pasted=(0.2, 0.1, 0.3))},
    )
    assert answer.sentence == "The model then more often answers green on scenes."
    rows = cells(answer)
    assert "nothing else for sure" in rows.loc["What does the model see instead?", "beside it"]
    assert rows.loc["Does it cost right answers?", "answer"] == "yes"
    word = rows.loc["Does a wrong word cost right answers?"]
    assert (word["answer"], word["beside it"]) == ("not surely", "adversarial: 40%")
    nothing = {"scenes": seen("nothing else for sure", NOTHING)}
    lost = {"scenes": table((0.1, -0.1, 0.3), (0.0, -0.1, 0.1))}
    answer = findings.answer(similarities([0.5] * 3), {}, nothing, lost)
    assert "every image goes its own way" in answer.sentence
    assert cells(answer).loc["Does it cost right answers?", "answer"] == "not surely"


def accounted(images, planted="adversarial"):
    shares, ordinary = made(images, 1)
    names = {"planted": planted, "ordinary": "pasted"}
    changes = [names[name] for name in shares["augmentation"].values]
    return account(shares.assign_coords(augmentation=changes), ordinary)


def test_a_head_that_carries_the_attack_is_named():
    answer = findings.answer(similarities([0.5] * 5), {}, account=accounted(100))
    assert "; some heads surely carry more of it." in answer.sentence
    row = cells(answer).loc["Which heads carry more of it than of a difference between two images?"]
    assert row["answer"].startswith(PLANTED)
    assert row["beside it"].endswith("none")


def test_an_attack_that_is_carried_as_any_difference_has_no_head_of_its_own():
    shares, ordinary = made(100, 1)
    names = {"planted": "pasted", "ordinary": "adversarial"}
    changes = [names[name] for name in shares["augmentation"].values]
    held = account(shares.assign_coords(augmentation=changes), ordinary)
    answer = findings.answer(similarities([0.5] * 5), {}, account=held)
    assert answer.sentence.startswith("The parts that carry it are not surely others")
    row = cells(answer).loc["Which heads carry more of it than of a difference between two images?"]
    assert row["answer"] == "none"


def alike(noise, pasted):
    rows = {"adversarial_noise": noise, "pasted": pasted, "typographic": (0.1, 0.0, 0.2)}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["correlation", "low", "high"])


@pytest.mark.parametrize(
    ("noise", "pasted", "words", "said"),
    [
        (
            (0.9, 0.8, 1.0),
            (0.1, 0.0, 0.3),
            "as noise",
            "are those that carry noise of its size, not",
        ),
        (
            (0.1, 0.0, 0.3),
            (0.9, 0.8, 1.0),
            "as an object",
            "are those that carry a pasted object, not",
        ),
        ((0.5, 0.2, 0.7), (0.3, 0.0, 0.5), "not distinguished", ""),
    ],
)
def test_it_is_said_whose_parts_carry_it(noise, pasted, words, said):
    likeness = {"scenes": alike(noise, pasted), "photos": alike((np.nan,) * 3, (np.nan,) * 3)}
    answer = findings.answer(similarities([0.5] * 5), {}, likeness=likeness)
    row = cells(answer).loc["Is it carried as noise of its size is, or as a pasted object?"]
    assert row["answer"] == words
    assert said in answer.sentence
    assert "photos" not in answer.sentence


def test_too_few_images_and_no_attack_are_said():
    assert findings.answer(similarities([1.0], noise=1.0), {}).sentence == NOTHING_MOVED
    one = findings.answer(similarities([0.4]), {"scenes": table((np.nan,) * 3)})
    assert one.sentence == findings.TOO_FEW
    assert len(one.findings) == 1
