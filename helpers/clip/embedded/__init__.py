"""The embedded models: small CLIPs of our own whose world is known completely.

`embedded` was taught by captions, prompts and masks, `embedded-clip` by captions alone. `build`
loads one; `helpers.training` makes and measures them. README.md is their card.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "files": ["NAMES", "RECIPES", "checkpoints", "folder", "weights_file"],
        "weights": ["build"],
    },
)
