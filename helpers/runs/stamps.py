"""Stamps that tell, of everything a notebook shows, which code made it.

A committed notebook holds its code and, beside it, the outputs of some earlier execution. Pictures
can't be compared with what the code would draw now, so every output is stamped as it is sent: with
a digest of all code cells run until then, and with the model that the run is of. A notebook whose
code was edited and not executed again, top to bottom, has stamps that no longer fit its cells.
"""

from collections.abc import Sequence
from hashlib import sha256

from IPython import get_ipython

KEY = "workbook"


def stamp_outputs(title: str) -> None:
    """Stamp all that this notebook shows from now on; without a notebook, do nothing."""
    shell = get_ipython()
    for sender in (getattr(shell, name, None) for name in ("display_pub", "displayhook")):
        if hasattr(sender, "register_hook"):  # a notebook's kernel has it, a terminal hasn't
            sender.register_hook(lambda message: _stamped(message, shell, title))


def stamp_of(cells: Sequence[str], title: str) -> dict[str, str]:
    """Return the stamp of an output."""
    text = "\n\n".join(cell.strip() for cell in cells)
    return {"code": sha256(text.encode()).hexdigest()[:12], "model": title}


def _stamped(message: dict, shell, title: str) -> dict:
    content = message["content"]
    if "data" in content:
        _, *cells = shell.history_manager.input_hist_raw  # the first entry is always empty
        content["metadata"] = content["metadata"] | {KEY: stamp_of(cells, title)}
    return message
