import numpy as np
import pytest

from helpers.clip import load


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def untrained():
    return load("ViT-B-32", device="cpu")
