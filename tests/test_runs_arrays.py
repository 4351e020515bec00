import numpy as np
import pytest

from helpers.checks import WorkbookError
from helpers.runs.storage.arrays import Arrays
from helpers.runs.storage.layout import Layout, Variable, allocate, differences

COORDINATES = {
    "image": ("image", ["a", "b", "c"]),
    "source": ("image", ["x", "x", "y"]),
    "view": ("view", ["original", "noise"]),
}
EMBEDDING = Variable("embedding", {"view": 2, "feature": 4})


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "arrays.zarr")


def created(path, identity=None):
    arrays = Arrays(path)
    Layout(arrays, {"seed": 0} if identity is None else identity, COORDINATES).create()
    return arrays


@pytest.fixture(params=["{}/arrays.zarr", "file://{}/arrays.zarr", "memory:/{}/arrays.zarr"])
def arrays(request, tmp_path):
    arrays = created(request.param.format(tmp_path))
    allocate(arrays, [EMBEDDING], rows=2)
    return arrays


def test_what_is_written_is_read_with_its_labels(arrays):
    values = np.arange(16.0).reshape(2, 2, 4)
    arrays.write(np.array([0, 2]), {"embedding": values})
    read = arrays.read(["embedding"])["embedding"]
    assert read.dims == ("image", "view", "feature")
    assert list(read["image"].values) == ["a", "c"]
    assert list(read["source"].values) == ["x", "y"]
    np.testing.assert_array_equal(read.sel(image="c", view="noise"), values[1, 1])


def test_labelled_axes_are_read_with_their_labels(path):
    arrays = created(path)
    heads = Variable("heads", {"layer": [2, 3], "part": ["a", "b", "c"]}, "float16")
    allocate(arrays, [heads, EMBEDDING], rows=2)
    assert arrays.read(["embedding"])["embedding"].sizes["image"] == 0
    values = {"heads": np.arange(6.0).reshape(1, 2, 3), "embedding": np.zeros((1, 2, 4))}
    arrays.write(np.array([1]), values)
    read = arrays.read(["heads"])["heads"]
    assert list(read["part"].values) == ["a", "b", "c"]
    assert read.dtype == np.float16
    assert read.sel(image="b", layer=3, part="c").item() == 5
    assert list(read["source"].values) == ["x"]
    assert Arrays.identity_of(path) == {"seed": 0}


def test_only_finished_images_are_done(arrays):
    arrays.write(np.array([1]), {"embedding": np.zeros((1, 2, 4))})
    assert list(arrays.done()) == [False, True, False]


def test_nothing_is_done_where_there_is_no_room(path):
    assert not created(path).done().any()


def test_a_batch_is_what_lies_in_one_chunk(arrays):
    assert [list(rows) for rows in arrays.batches(np.arange(3))] == [[0, 1], [2]]
    assert [list(rows) for rows in arrays.batches(np.array([1, 2]))] == [[1], [2]]
    assert arrays.batches(np.array([], int)) == []


def test_allocating_again_keeps_what_is_there(arrays):
    arrays.write(np.array([1]), {"embedding": np.ones((1, 2, 4))})
    allocate(arrays, [EMBEDDING], rows=1)
    assert arrays.read(["embedding"])["embedding"].values.tolist() == [[[1.0] * 4] * 2]
    assert len(arrays.batches(np.arange(3))) == 2


def test_an_allocation_that_was_killed_is_done_again(path):
    import zarr

    arrays = created(path)
    zarr.open_group(path).create_array("embedding", shape=(1,), dtype="int8")
    allocate(arrays, [EMBEDDING], rows=2)
    arrays.write(np.array([0]), {"embedding": np.ones((1, 2, 4))})
    assert arrays.read(["embedding"])["embedding"].shape == (1, 2, 4)


def test_a_creation_that_was_killed_is_done_again(path):
    import zarr

    zarr.open_group(path).create_array("image", shape=(1,), dtype="int8")
    assert Arrays.identity_of(path) is None
    assert len(created(path).done()) == 3


def test_arrays_of_another_identity_are_refused(path):
    created(path, {"seed": 0, "model": "a"})
    with pytest.raises(WorkbookError, match="seed 0 there, 1 here"):
        created(path, {"seed": 1, "model": "a"})
    assert Arrays.identity_of(path) == {"seed": 0, "model": "a"}


def test_identity_of_nothing_is_none(path):
    assert Arrays.identity_of(path) is None


def test_a_place_that_cannot_be_opened_is_told():
    with pytest.raises(WorkbookError, match="nowhere://bucket"):
        Arrays("nowhere://bucket/arrays.zarr")


def test_differences_name_both_sides():
    assert (
        differences({"seed": 0, "model": "a"}, {"seed": 0, "model": "b"})
        == "model 'a' there, 'b' here"
    )
