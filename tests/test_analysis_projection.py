"""The principal plane against a singular value decomposition."""

import numpy as np
import pytest
import xarray as xr

from helpers.analysis.projection import principal_plane
from helpers.checks import WorkbookError


@pytest.fixture
def embeddings():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(8, 3, 5)) * [5, 3, 1, 0.5, 0.1] + 7
    coords = {"image": list("abcdefgh"), "view": ["original", "noise", "blur"]}
    return xr.DataArray(values, dims=("image", "view", "feature"), coords=coords)


def test_coordinates_are_those_of_the_svd(embeddings):
    plane = principal_plane(embeddings)
    points = embeddings.values.reshape(-1, 5)
    left, singular, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    expected = (left * singular)[:, :2]
    own = plane.values.reshape(-1, 2)
    own = own * np.sign((own * expected).sum(axis=0))
    np.testing.assert_allclose(own, expected, atol=1e-9)
    shares = singular[:2] ** 2 / (singular**2).sum()
    np.testing.assert_allclose(plane["explained"], shares)


def test_labels_and_the_order_of_axes_are_kept(embeddings):
    plane = principal_plane(embeddings)
    assert plane.dims == ("image", "view", "component")
    assert list(plane["view"].values) == ["original", "noise", "blur"]
    turned = principal_plane(embeddings.transpose("feature", "view", "image"))
    xr.testing.assert_allclose(plane, turned)


def test_equal_embeddings_stay_in_one_point(embeddings):
    plane = principal_plane(xr.zeros_like(embeddings))
    assert (plane == 0).all()
    assert np.isnan(plane["explained"]).all()


def test_a_plane_takes_two_features(embeddings):
    with pytest.raises(WorkbookError, match="embeddings of 1 features have no plane"):
        principal_plane(embeddings.isel(feature=[0]))
