"""JupyterLab as a place to work: panels, the map of the notebooks, the runs, a form for another.

`panel` opens an analysis to choose model, image, head and text; `ANALYSES` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"dashboard": ["dashboard", "notebooks"], "panels": ["ANALYSES", "panel"]},
)
