import ctypes
import gc
import sys

import numpy as np
import psutil
import pytest
from ipywidgets.widgets import widget
from PIL import Image

from helpers.runs import jupyter_kernels
from tests.lab import browser, lab  # noqa: F401
from tests.tally import pytest_addoption, pytest_sessionfinish, tally  # noqa: F401

UNTRAINED = "ViT-S-32-alt"
CACHING = ("helpers.interpret.changes", "helpers.interpret.choices")
GROWN = 150e6  # bytes more than after the last cleaning, above which what is unused is given back
_kept = 0.0


def pytest_collection_finish():
    """Start the kernels of all tests from one process, and let later collections be quick."""
    jupyter_kernels.allow_forks()
    gc.freeze()


def pytest_runtest_logfinish():
    """Give back what a test has held: runs in caches, and pages."""
    global _kept
    if _held() > _kept + GROWN:
        caching = [vars(sys.modules[name]) for name in CACHING if name in sys.modules]
        for one in [value for names in caching for value in names.values()]:
            if hasattr(one, "cache_clear"):
                one.cache_clear()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
        _kept = _held()


@pytest.fixture(autouse=True, scope="module")
def panels_let_go():
    """Close a module's panels at its end: every widget is kept alive, and with it its run."""
    before = {*widget._instances}
    yield
    for made in {*widget._instances} - before:
        widget._instances[made].close()


def _held():
    return psutil.Process().memory_info().rss


@pytest.fixture(autouse=True)
def close_figures():
    """Close a test's figures, and forget the style that it set."""
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is None:  # and importing it would take every other test's time
        yield
        return
    with plt.rc_context():
        yield
        plt.close("all")


@pytest.fixture
def styled():
    """Draw as the notebooks do."""
    from helpers.figures import style

    style.apply()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def untrained():
    """A model of open_clip's that is not the workbook's, and one of its smallest."""
    from helpers.clip import load

    return load(UNTRAINED, device="cpu")


@pytest.fixture(scope="module")
def small_names():
    """Let the names of large models build small ones: what is tried is how weights are found."""
    import open_clip

    sizes = {"embed_dim": 64, "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64}}
    sizes["text_cfg"] |= {"heads": 1, "layers": 1}
    with pytest.MonkeyPatch.context() as patch:
        for name, patch_size in (("ViT-B-32", 32), ("ViT-B-32-quickgelu", 32), ("ViT-B-16", 16)):
            own = {"image_size": 224, "layers": 2, "width": 128, "patch_size": patch_size}
            quick = {"quick_gelu": True} if name.endswith("quickgelu") else {}
            configs = open_clip.factory._MODEL_CONFIGS  # another object once one was added
            patch.setitem(configs, name, sizes | {"vision_cfg": own} | quick)
        yield


@pytest.fixture(scope="module")
def small_base(small_names):
    from helpers.clip import load

    return load("ViT-B-32", device="cpu")


@pytest.fixture
def folder_of_images(tmp_path):
    """A folder of seven small pictures, the first of them unreadable."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(6):
        tile = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(tile.repeat(12, 0).repeat(10, 1)).save(folder / f"{number}.png")
    (folder / "-broken.png").write_bytes(b"no image at all")
    return folder


@pytest.fixture
def parameters(folder_of_images, tmp_path):
    """Parameters of a small run, to be given to `open_run`."""
    return {
        "images": str(folder_of_images),
        "limit": None,
        "seed": 0,
        "changes": "study",
        "severity": 1.0,
        "extend": None,
        "model": "embedded",
        "pretrained": None,
        "device": "cpu",
        "precision": "auto",
        "preprocessing": None,
        "texts": None,
        "layers": 4,
        "compare": ["embedded:304"],
        "compare_fully": False,
        "extras": True,
        "batch_size": 2,
        "workers": 2,
        "cluster": None,
        "out": str(tmp_path / "run"),
    }
