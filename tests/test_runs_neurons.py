"""What a run keeps of neurons: the same as from passes over single images, whole after damage."""

import numpy as np
import pytest

from helpers.analysis import patching
from helpers.runs import open_run
from helpers.runs.derived.neurons import ablated_neurons, neuron_account, ordinary_neurons
from helpers.runs.derived.repair import repaired_answers, spurious_task
from helpers.runs.storage.arrays import Arrays
from helpers.runs.storage.integrity import find_damage

CHANGES = ["blur", "noise"]


@pytest.fixture
def run(parameters):
    given = {"images": ["photos", "scenes:5"], "limit": 8, "changes": CHANGES, "batch_size": 4}
    return open_run(**parameters | given)


def shares_of(run, image):
    encoding = run.model.encode(np.stack(list(run.views(image).values())), neurons=True)
    shift = encoding.embedding[1:] - encoding.embedding[:1]
    along = (encoding.neurons[1:] - encoding.neurons[:1]) * encoding.neuron_writing(shift)
    return along / (shift**2).sum(-1)[:, None, None]


def test_means_over_batches_are_those_of_single_images(run):
    neurons = run.neurons()
    for source in neurons["of_source"].values:
        ids = neurons["image"].values[(neurons["source"] == source).values]
        expected = np.mean([shares_of(run, image) for image in ids], axis=0)
        shares = neurons["share"].sel(of_source=source).values
        assert np.abs(shares - expected).max() <= 1e-3 * np.abs(expected).max()  # kept in float16
    image = neurons["image"].values[0]
    largest = neurons["largest_neurons"].sel(image=image, augmentation="noise").values
    sizes = np.abs(shares_of(run, image)[1]).ravel()
    assert sizes[largest[0]] == pytest.approx(sizes.max(), rel=1e-4)


def test_a_damaged_mean_is_made_of_its_whole_batch_again(run):
    before = run.neurons()
    chunks = (run.folder / "arrays.zarr" / "neuron_moments" / "c").rglob("*")
    first = min(path for path in chunks if path.is_file())
    first.write_bytes(b"damaged")
    arrays = Arrays(str(run.folder / "arrays.zarr"))
    (damage,) = find_damage(arrays)
    assert damage.rows.tolist() == [0, 1, 2, 3]
    after = run.neurons()
    np.testing.assert_array_equal(before["share"], after["share"])
    assert not find_damage(arrays)


def test_one_image_that_is_missing_takes_its_batch_with_it(run):
    run.neurons()
    arrays = Arrays(str(run.folder / "arrays.zarr"))
    assert arrays.whole_batches(np.array([5])).tolist() == [4, 5, 6, 7]
    assert arrays.counts().sum() == 8


def test_ordinary_differences_and_ablation(run):
    reference, effects = ordinary_neurons(run), ablated_neurons(run)
    sums = reference["share"].sum(["depth", "neuron"]).values
    assert ((sums > 0) & (sums < 1)).all()  # what all MLPs carry but for their biases
    assert effects["removed"].sizes["choice"] == 3
    assert effects["kept"].max() <= 1 + 1e-6
    assert np.isfinite(effects["removed"]).all()
    assert neuron_account(run).neurons == run.model.layers * run.model.neurons


def test_repairs_and_the_misled_probe(run, monkeypatch):
    monkeypatch.setattr("helpers.runs.derived.repair.LEARNED", 24)
    monkeypatch.setattr("helpers.runs.derived.repair.ASKED", 24)
    for right in repaired_answers(run).values():
        assert set(patching.CONTROL) <= set(right["repair"].values)
    task = spurious_task(run)
    assert task["right"].sizes["image"] == task["even"].sizes["image"] == 24
    assert set(task["order"].values) >= {"contribution", "random"}


def test_no_more_neurons_are_the_largest_than_there_are(parameters, monkeypatch):
    monkeypatch.setattr("helpers.runs.compute.output_variables.LARGEST", 10**6)
    run = open_run(**parameters | {"images": "scenes:2", "changes": ["blur"]})
    largest = run.neurons()["largest_neurons"]
    assert largest.sizes["largest"] == run.model.layers * run.model.neurons
