"""CLIP-InterpreT's five analyses of a run, as functions that return a figure.

`changes` has two more, of what a change does to one image at any severity; `choices` is what they
are asked about. `helpers.lab.panel` opens one with controls beside it.

Source: CLIP-InterpreT (Intel Labs); the heads' contributions are those of Gandelsman, Efros and
Steinhardt, ICLR 2024 (arXiv 2310.05916).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["analyses", "changes"],
    submod_attrs={
        "analyses": [
            "contrast",
            "image_neighbours",
            "property_neighbours",
            "segmentation",
            "text_neighbours",
        ],
    },
)
