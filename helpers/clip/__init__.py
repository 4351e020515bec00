"""CLIP models: loading them, and the one forward pass that also says where an embedding comes from.

`load` opens the embedded model, any open_clip vision transformer by name and tag, or a local file.
`Model.encode` runs open_clip's own modules once and returns an `Encoding`: the embedding, the last
layer's attention map, and the exact contribution of every attention head and MLP.
"""

import lazy_loader

# Importing torch takes seconds, and a run that finds its arrays on disk does not need it.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["weights"],
    submod_attrs={"decomposition": ["Encoding"], "loading": ["load"], "model": ["Model"]},
)
