"""How many of the machine's cores this process may use."""

import os


def cores() -> int:
    """Count the cores that are this process's, which on a shared machine are not all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
