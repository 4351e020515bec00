"""Where the embedded model's files are. Imports no torch: a run may need only their hash."""

import json
from pathlib import Path

from helpers.checks import one_of

FOLDER = Path(__file__).parent


def architecture() -> dict:
    """Return the arguments of open_clip's `CLIP`: embed_dim, vision_cfg and text_cfg."""
    return json.loads((FOLDER / "model.json").read_text())


def checkpoints() -> list[str]:
    """List the steps of training whose weights are kept beside the final ones, as strings."""
    return sorted((path.stem for path in FOLDER.glob("checkpoints/*.safetensors")), key=int)


def weights_file(checkpoint: str | int | None = None) -> Path:
    """Find the weights: the final ones, or those at an earlier step of training.

    Parameters
    ----------
    checkpoint : str or int, optional
        One of `checkpoints`; left out, the final weights.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    WorkbookError
        If no weights were kept at that step.
    """
    if checkpoint is None:
        return FOLDER / "weights.safetensors"
    step = one_of("pretrained (step of the embedded model)", str(checkpoint), checkpoints())
    return FOLDER / "checkpoints" / f"{step}.safetensors"
