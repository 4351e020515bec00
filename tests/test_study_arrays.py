import numpy as np
import pytest

from helpers.checks import WorkbookError
from helpers.study.arrays import Arrays, Variable, differences

COORDINATES = {
    "image": ("image", ["a", "b", "c"]),
    "source": ("image", ["x", "x", "y"]),
    "view": ("view", ["original", "noise"]),
}
EMBEDDING = Variable("embedding", {"view": 2, "feature": 4})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "arrays.zarr"


@pytest.fixture
def arrays(path):
    arrays = Arrays(path, {"seed": 0}, COORDINATES)
    arrays.allocate("encode", [EMBEDDING], batch_size=2)
    return arrays


def test_what_is_written_is_read_with_its_labels(arrays):
    values = np.arange(16.0).reshape(2, 2, 4)
    arrays.write("encode", np.array([0, 2]), {"embedding": values})
    read = arrays.read("encode", ["embedding"])["embedding"]
    assert read.dims == ("image", "view", "feature")
    assert list(read["image"].values) == ["a", "c"]
    np.testing.assert_array_equal(read.sel(image="c", view="noise"), values[1, 1])


def test_labelled_axes_are_read_with_their_labels(arrays):
    heads = Variable("heads", {"layer": [2, 3], "part": ["a", "b", "c"]}, "float16")
    arrays.allocate("heads", [heads], batch_size=2)
    arrays.write("heads", np.array([1]), {"heads": np.arange(6.0).reshape(1, 2, 3)})
    read = arrays.read("heads", ["heads"])["heads"]
    assert list(read["part"].values) == ["a", "b", "c"]
    assert read.dtype == np.float16
    assert read.sel(image="b", layer=3, part="c").item() == 5
    assert arrays.read("encode", ["embedding"]).sizes["image"] == 0
    assert list(read["source"].values) == ["x"]
    assert Arrays.identity_of(arrays.path) == {"seed": 0}


def test_only_finished_images_are_done(arrays):
    arrays.write("encode", np.array([1]), {"embedding": np.zeros((1, 2, 4))})
    assert list(arrays.done("encode")) == [False, True, False]
    assert not arrays.done("score").any()


def test_allocating_again_keeps_what_is_there(arrays):
    arrays.write("encode", np.array([1]), {"embedding": np.ones((1, 2, 4))})
    arrays.allocate("encode", [EMBEDDING], batch_size=1)
    assert arrays.read("encode", ["embedding"])["embedding"].values.tolist() == [[[1.0] * 4] * 2]


def test_an_allocation_that_was_killed_is_done_again(path):
    import zarr

    arrays = Arrays(path, {}, COORDINATES)
    zarr.open_group(path).create_array("embedding", shape=(1,), dtype="int8")
    arrays.allocate("encode", [EMBEDDING], batch_size=2)
    arrays.write("encode", np.array([0]), {"embedding": np.ones((1, 2, 4))})
    assert arrays.read("encode", ["embedding"])["embedding"].shape == (1, 2, 4)


def test_arrays_of_another_identity_are_refused(path):
    Arrays(path, {"seed": 0, "model": "a"}, COORDINATES)
    with pytest.raises(WorkbookError, match="seed 0 there, 1 here"):
        Arrays(path, {"seed": 1, "model": "a"}, COORDINATES)
    assert Arrays.identity_of(path) == {"seed": 0, "model": "a"}


def test_identity_of_nothing_is_none(path):
    assert Arrays.identity_of(path) is None


def test_differences_name_both_sides():
    assert (
        differences({"seed": 0, "model": "a"}, {"seed": 0, "model": "b"})
        == "model 'a' there, 'b' here"
    )
