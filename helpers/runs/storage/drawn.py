"""Views that need the run's model: drawn once, and kept with the run.

Their pixels follow from float32 products, which differ between processors and numbers of threads.
So whatever shows, encodes or checks such a view later reads the pixels that were encoded first.
"""

import glob
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import numpy as np

from helpers.data import CHANGES
from helpers.data.changes import changed
from helpers.runs.storage.checksums import ROOM, read_sealed, sealed

if TYPE_CHECKING:
    from helpers.clip import Model

FOLDER = "views"
DEPENDS_ON = ("model", "weights", "precision", "seed")
"""Entries of a run's identity that these views depend on, beside the image, change and severity."""

LONGEST = 60
"""Letters of an image's id in the name of a file."""


class DrawnViews:
    """The views of a run that need its model, which is asked for only where one is missing."""

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, object],
        model: Callable[[], "Model"],
        report: Callable[[str], object] = print,
    ):
        self._folder, self._identity = folder / FOLDER, identity
        self._model, self._report = model, report

    def view(self, original: np.ndarray, name: str, image_id: str, severity: float) -> np.ndarray:
        """Read a view, or else draw and keep it."""
        path = self._path(original, name, image_id, severity)
        difference = self._kept(path)
        if difference is None:
            seed = self._identity["seed"]
            drawn = changed(original, name, image_id, seed, severity, model=self._model())
            difference = self._keep(path, drawn - original)  # modulo 256
        return original + difference

    def are_kept(self, names: Iterable[str], image_id: str) -> bool:
        """Return whether views of an image are kept, of all these changes."""
        return all(any(self._folder.glob(f"{glob.escape(_stem(n, image_id))}-*")) for n in names)

    def _path(self, original: np.ndarray, name: str, image_id: str, severity: float) -> Path:
        depends_on = [self._identity[entry] for entry in DEPENDS_ON]
        key = json.dumps([*depends_on, image_id, float(severity), CHANGES[name].origin])
        digest = hashlib.sha256(key.encode() + original.tobytes()).hexdigest()
        return self._folder / f"{_stem(name, image_id)}-{digest[:8]}.npz"

    def _kept(self, path: Path) -> np.ndarray | None:
        if not path.exists():
            return None
        data = read_sealed(path)
        if data is None:
            self._report(f"{path} is damaged or unfinished; that view is drawn again.")
            path.unlink()
            return None
        with np.load(BytesIO(data)) as file:
            return file["difference"]

    def _keep(self, path: Path, difference: np.ndarray) -> np.ndarray:
        """Keep a view unless another thread or process has meanwhile; return what is kept."""
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f".partial-{os.getpid()}-{id(difference)}-{path.name}")
        try:
            partial.write_bytes(_packed(difference))
            os.link(partial, path)
        except FileExistsError:
            return self._kept(path)
        finally:
            partial.unlink(missing_ok=True)
        return difference


def _stem(name: str, image_id: str) -> str:
    readable = re.sub(r"[^\w.-]", "_", image_id)[-LONGEST:]
    return f"{name}-{readable}"


def _packed(difference: np.ndarray) -> bytes:
    data = BytesIO()
    np.savez_compressed(data, difference=difference)
    with ZipFile(data, "a") as packed:
        packed.comment = ROOM.encode()
    return sealed(data.getvalue())
