"""Images × views × model → arrays on disk; and the notebooks and the report that show them."""

from helpers.runs.run import Run, open_run, run_from

__all__ = ["Run", "open_run", "run_from"]
