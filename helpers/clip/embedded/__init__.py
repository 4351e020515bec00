"""The embedded model: a small CLIP of our own whose world is known completely.

`build` loads it; `train` and `evaluate`, run as modules, make and measure it. README.md is its
model card.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"files": ["checkpoints", "weights_file"], "weights": ["build"]},
)
