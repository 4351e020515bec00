"""CLIP models: loading them, and the one forward pass that also says where an embedding comes from.

`load` opens the embedded model, any of open_clip by name and tag, one of `transformers` by folder
or id, or a local file. `Model.encode` runs the libraries' own modules once and returns an
`Encoding`: the embedding, an attention map, and, for vision transformers, the exact contribution of
every attention head and MLP. `capabilities` says what a model gives, before it is loaded.
"""

import lazy_loader

# Importing torch takes seconds, and a run that finds its arrays on disk does not need it.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["weights"],
    submod_attrs={
        "capabilities": ["Capabilities"],
        "decomposition": ["Encoding"],
        "loading": ["load"],
        "model": ["Model"],
    },
)
