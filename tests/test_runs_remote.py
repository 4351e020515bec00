"""Object stores: what every request costs is asked for once, and nothing written is overlooked."""

from collections import Counter

import fsspec
import pytest
import xarray as xr
import zarr
from zarr.storage import FsspecStore

from helpers.checks import WorkbookError
from helpers.runs import open_run
from helpers.runs.storage.arrays import Arrays
from helpers.runs.storage.integrity import find_damage
from helpers.runs.storage.layout import Layout
from helpers.runs.storage.manifest import KEY
from helpers.runs.storage.remote import Remembered

KEPT = ("scores", "encodings", "contributions")


@pytest.fixture
def requests(monkeypatch):
    """Count what is asked of the store that fsspec opens, by name of the method."""
    counted = Counter()

    def counting(name):
        original = getattr(FsspecStore, name)

        def call(store, *given, **named):
            counted[name] += 1
            return original(store, *given, **named)

        monkeypatch.setattr(FsspecStore, name, call)

    for name in ("get", "set", "exists", "delete", "delete_dir", "list_dir", "list"):
        counting(name)
    return counted


@pytest.fixture
def remote(parameters, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.runs.paths.OUTPUTS", tmp_path / "outputs")
    return parameters | {"images": "scenes:4", "out": f"memory://{tmp_path.name}/run"}


def test_a_run_asks_little_more_than_once_for_every_object(remote, parameters, requests):
    run = open_run(**remote)
    run.compute()
    objects = Arrays(f"{remote['out']}/arrays.zarr").manifest.count_files()
    assert requests.total() <= 30 + objects
    for kept in KEPT:
        getattr(run, kept)()
    requests.clear()
    encodings = run.encodings()  # whose metadata are known by now
    assert requests.total() <= 12
    xr.testing.assert_identical(
        encodings, open_run(**parameters | {"images": "scenes:4"}).encodings()
    )


def test_what_another_process_wrote_meanwhile_is_found(tmp_path):
    place = f"memory://{tmp_path.name}/arrays.zarr"
    first, second = Arrays(place), Arrays(place)
    assert not second.are_there
    Layout(first, {"seed": 0}, {"image": ("image", ["a", "b"])}).create()
    assert not second.are_there
    second.look_again()
    assert second.are_there
    assert second.ids() == ["a", "b"]
    with pytest.raises(WorkbookError, match="seed 0 there, 1 here"):
        Layout(second, {"seed": 1}, {"image": ("image", ["a", "b"])}).create()


def test_damage_is_found_by_who_opens_the_arrays_anew(remote):
    run = open_run(**remote)
    run.compute()
    place = f"{remote['out']}/arrays.zarr"
    fsspec.filesystem("memory").pipe(f"{place}/embedding/{KEY}", b"{}")
    assert [damage.file for damage in find_damage(Arrays(place))] == [f"embedding/{KEY}"]


def test_keys_are_known_as_they_were_written(tmp_path):
    store = Remembered(FsspecStore.from_url(f"memory://{tmp_path.name}/store"))
    group = zarr.create_group(store)
    group.create_array("one", shape=(2,), dtype="i4")[:] = [1, 2]
    assert sorted(group.array_keys()) == ["one"]
    group.create_array("two", shape=(2,), dtype="i4")
    assert sorted(group.array_keys()) == ["one", "two"]
    del group["one"]
    assert sorted(group.array_keys()) == ["two"]
    again = Remembered(FsspecStore.from_url(f"memory://{tmp_path.name}/store"))
    assert sorted(zarr.open_group(again, mode="r").array_keys()) == ["two"]
