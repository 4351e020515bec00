"""A CLIP that is built in no time, known to open_clip by its name."""

import json
from contextlib import contextmanager

import open_clip
import torch

from helpers.clip import names

NAME = "tiny-for-tests"
CONFIG = {
    "embed_dim": 8,
    "vision_cfg": {
        "image_size": 32,
        "layers": 2,
        "width": 32,
        "head_width": 16,
        "patch_size": 16,
    },
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}
_RESIDUAL_TOWER = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
RESIDUAL = {"RN-tiny": CONFIG | {"vision_cfg": _RESIDUAL_TOWER}}


@contextmanager
def registered(folder, **names_and_configs):
    """Make models known to open_clip: name → configuration."""
    for name, config in names_and_configs.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder / f"{name}.json")
    names.open_clip_names.cache_clear()
    try:
        yield
    finally:
        for name in names_and_configs:
            open_clip.factory._MODEL_CONFIGS.pop(name)
            open_clip.factory._MODEL_CONFIG_PATHS.remove(folder / f"{name}.json")
        names.open_clip_names.cache_clear()


def random(module, seed=0):
    """Fill a module with random weights that let every part count."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            one = value.ndim == 1 and name.endswith("weight")
            value.copy_(torch.randn_like(value) * 0.3 + one)
    return module.eval()
