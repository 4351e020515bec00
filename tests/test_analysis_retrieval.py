import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import cdist

from helpers.analysis.retrieval import (
    cosine_similarities,
    own_rank,
    retrieved,
)
from helpers.checks import WorkbookError


@pytest.fixture
def embeddings():
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 8)), rng.normal(size=(6, 8))


def test_similarities_are_scipys(embeddings):
    expected = 1 - cdist(*embeddings, metric="cosine")
    np.testing.assert_allclose(cosine_similarities(*embeddings), expected, atol=1e-12)


def test_embeddings_of_two_models_are_refused(embeddings):
    with pytest.raises(WorkbookError, match="8 features and texts with 5"):
        cosine_similarities(embeddings[0], embeddings[1][:, :5])


def test_the_rank_of_the_own_entry_in_plain_loops():
    similarities = np.random.default_rng(0).normal(size=(2, 7, 7))
    ranks = own_rank(similarities)
    for view in range(2):
        for query in range(7):
            row = similarities[view, query]
            assert ranks[view, query] == 1 + sum(other > row[query] for other in row)
    assert (own_rank(np.eye(5)) == 1).all()


def test_an_entry_like_the_own_one_is_not_before_it():
    similarities = np.array([[0.5, 0.5 + 1e-9, 0.9], [0.2, 0.1, 0.0], [0.3, 0.2, 0.1]])
    assert own_rank(similarities).tolist() == [2, 2, 3]


def test_retrieval_at_k_of_images_with_an_entry(embeddings):
    images, texts = embeddings
    coords = {"image": list("abcdef"), "source": ("image", list("ppssss"))}
    views = xr.DataArray(
        np.stack([images, texts], axis=1), dims=("image", "view", "feature"), coords=coords
    ).assign_coords(view=["original", "noise"])
    gallery = xr.DataArray(
        texts[[4, 1, 2]], dims=("image", "feature"), coords={"image": list("ebc")}
    )
    distance = cdist(images[[4, 1, 2]], texts[[4, 1, 2]], "cosine")
    ranks = [1 + sum(row < row[place]) for place, row in enumerate(distance)]
    for k in (1, 2, 3):
        found = retrieved(views, gallery, k)
        assert list(found["image"].values) == list("ebc")
        assert list(found["source"].values) == list("sps")
        assert found.sel(view="original").values.tolist() == [rank <= k for rank in ranks]
        assert (found.sel(view="noise") == 1).all()
