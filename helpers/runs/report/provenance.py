"""What made a result: marks of executed notebooks, and stamps of all that a notebook shows.

A mark says what a notebook was made from, and has checksums of all that it made. Stamps are for
committed notebooks, which hold their code and, beside it, the outputs of some earlier execution.
Pictures can't be compared with what the code would draw now, so every output is stamped as it is
sent: with a digest of all code cells run until then, and with the model that the run is of. A
notebook whose code was edited and not executed again, top to bottom, has stamps that no longer fit
its cells.
"""

import json
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from IPython import get_ipython

from helpers.runs.storage.checksums import BLANK, ROOM, read_sealed, sha256_of, write_sealed

KEY = "workbook"


def mark(executed: Path, origin: str) -> None:
    """Mark a notebook as finished, with the digest of all that it follows from, and seal it."""
    # As JSON: to import nbformat takes two seconds, and every kernel imports this module.
    notebook = json.loads(executed.read_bytes())
    notebook["metadata"][KEY] = {"origin": origin, "made": _made_by(executed), "checksum": BLANK}
    write_sealed(executed, json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True))


def write_page(path: Path, text: str) -> Path:
    """Write a page of a run, with its own checksum as a comment at its end."""
    if path.exists() and read_sealed(path) is None:
        print(f"{path} was damaged or unfinished; written again.", file=sys.stderr)
    write_sealed(path, f"{text}\n<!-- {ROOM} -->\n")
    return path


def origin_of(executed: Path) -> str | None:
    """Return what a notebook was marked with; None where it is damaged or wasn't finished."""
    mark = _mark_of(executed)
    return mark and mark["origin"]


def damage_of(executed: Path) -> list[str]:
    """Compare a notebook, its tables and figures with what they were when it was marked."""
    mark = _mark_of(executed)
    if mark is None:
        return [f"{executed.parent.name}/{executed.name}"]
    return sorted({name for name, _ in mark["made"].items() ^ _made_by(executed).items()})


def count_of(executed: Path) -> int:
    """Return how many files a notebook's mark has checksums of, with the notebook itself."""
    mark = _mark_of(executed)
    return 1 + len(mark["made"] if mark else ())


def _mark_of(executed: Path) -> dict | None:
    data = read_sealed(executed)
    return data and json.loads(data)["metadata"][KEY]


def _made_by(executed: Path) -> dict[str, str]:
    """Return the checksums of tables and figures with a notebook's number."""
    folder, number = executed.parents[1], executed.stem[:3]
    made = [path for kind in ("tables", "figures") for path in (folder / kind).glob(f"{number}*")]
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(made)}


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
