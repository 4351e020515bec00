import numpy as np
import pytest
from scipy.spatial.distance import cdist

from helpers.analysis.retrieval import cosine_similarities, nearest_texts, recall_at_1
from helpers.checks import WorkbookError


@pytest.fixture
def embeddings():
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 8)), rng.normal(size=(6, 8))


def test_similarities_are_scipys(embeddings):
    expected = 1 - cdist(*embeddings, metric="cosine")
    np.testing.assert_allclose(cosine_similarities(*embeddings), expected, atol=1e-12)


def test_nearest_texts_come_best_first(embeddings):
    similarities = cosine_similarities(*embeddings)
    nearest = nearest_texts(similarities, 3)
    for row, columns in zip(similarities, nearest, strict=True):
        assert list(columns) == sorted(range(6), key=lambda text: -row[text])[:3]


def test_recall_counts_texts_and_not_images():
    similarities = np.array([[0.9, 0.8, 0.1], [0.1, 0.7, 0.2], [0.2, 0.1, 0.3]])
    assert recall_at_1(similarities) == pytest.approx(2 / 3)
    assert recall_at_1(similarities.T) == 1


def test_embeddings_of_two_models_are_refused(embeddings):
    with pytest.raises(WorkbookError, match="8 features and texts with 5"):
        cosine_similarities(embeddings[0], embeddings[1][:, :5])
