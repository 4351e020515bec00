import numpy as np
import pytest
import xarray as xr

from helpers.runs.derived.cache import FOLDER, derived, read
from helpers.runs.run import open_run


@pytest.fixture
def run(parameters):
    return open_run(**parameters)


def computed(values, calls):
    calls.append(values)
    coords = {"pair": [3, 5], "name": ["a", "ü"]}
    return xr.Dataset({"share": (("pair", "name"), values)}, coords)


def kept_files(run):
    return sorted((run.folder / FOLDER).glob("*.zip"))


def test_it_is_computed_once_and_read_as_it_was(run):
    calls, values = [], np.array([[0.1, np.nan], [1 / 3, 2]])
    first, second = (derived(run, "x", lambda: computed(values, calls), k=4) for _ in range(2))
    assert len(calls) == 1
    xr.testing.assert_identical(first, second)
    assert first["share"].dtype == float
    assert first["name"].values.tolist() == ["a", "ü"]


def test_what_depends_on_something_else_is_kept_beside_it(run):
    calls = []
    for k in (1, 2, 1):
        result = derived(run, "x", lambda k=k: computed(np.full((2, 2), k), calls), k=k)
        assert (result["share"] == k).all()
    assert len(calls) == 2


def test_the_same_values_give_the_same_bytes(run):
    derived(run, "x", lambda: computed(np.eye(2), []))
    (path,) = kept_files(run)
    before = path.read_bytes()
    path.unlink()
    derived(run, "x", lambda: computed(np.eye(2), []))
    assert path.read_bytes() == before


def test_damage_is_reported_and_mended(run, capsys):
    derived(run, "x", lambda: computed(np.eye(2), []))
    (path,) = kept_files(run)
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert read(path) is None
        result = derived(run, "x", lambda: computed(np.eye(2), []))
        assert (result["share"] == np.eye(2)).all()
    path.write_bytes(whole[:100])
    derived(run, "x", lambda: computed(np.eye(2), []))
    assert path.read_bytes() == whole
    assert "is damaged or missing; it is computed again" in capsys.readouterr().err
