"""The README's picture: the figure of the committed notebook 00.

``make notebooks`` writes it anew: ``python -m tests.readme_picture``.
"""

from base64 import b64decode

import nbformat

from helpers.runs.parameters import NOTEBOOKS

PICTURE = NOTEBOOKS / "00_summary.png"


def figure() -> bytes:
    """Return the first figure that notebook 00 shows, PNG."""
    notebook = nbformat.read(NOTEBOOKS / "00_summary.ipynb", as_version=4)
    shown = (
        output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    )
    return next(b64decode(data["image/png"]) for data in shown if "image/png" in data)


if __name__ == "__main__":
    PICTURE.write_bytes(figure())
