"""Images × views × model → arrays on disk; and the notebooks and the report that show them."""

import lazy_loader

# The command line lists models, or shows its help, without what computes.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"run": ["Run", "open_run", "run_from"]}
)
