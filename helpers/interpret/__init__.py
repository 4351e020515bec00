"""CLIP-InterpreT's five analyses of a run, as functions that return a figure and as panels.

`changes` has two more, of what a change does to one image at any severity. `ANALYSES` lists them;
`panel` opens one to choose model, image, head and text. `scoring` holds segmentation against the
masks of drawn scenes.

Source: CLIP-InterpreT (Intel Labs); the heads' contributions are those of Gandelsman, Efros and
Steinhardt, ICLR 2024 (arXiv 2310.05916).
"""

import lazy_loader

# The panels need ipywidgets, which a script that draws one figure need not load.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["analyses", "changes", "scoring"],
    submod_attrs={
        "analyses": [
            "contrast",
            "image_neighbours",
            "property_neighbours",
            "segmentation",
            "text_neighbours",
        ],
        "panel": ["ANALYSES", "panel"],
    },
)
