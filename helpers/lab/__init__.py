"""JupyterLab as a place to work: the map of the notebooks, the runs, and a form for another one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"desk": ["desk", "notebooks"]}
)
