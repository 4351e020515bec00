"""Where the embedded model's files are. Imports no torch: a run may need only their hash."""

import json
from pathlib import Path

from helpers.checks import one_of

FOLDER = Path(__file__).parent
UNTRAINED = "0"


def architecture() -> dict:
    """Return the arguments of open_clip's `CLIP`: embed_dim, vision_cfg and text_cfg."""
    return json.loads((FOLDER / "model.json").read_text())


def checkpoints() -> list[str]:
    """List the steps of training that can be loaded beside the end, as strings."""
    kept = (path.stem for path in FOLDER.glob("checkpoints/*.safetensors"))
    return sorted((UNTRAINED, *kept), key=int)


def weights_file(checkpoint: str | int | None = None) -> Path | None:
    """Find the weights: the final ones, or those at an earlier step of training.

    Parameters
    ----------
    checkpoint : str or int, optional
        One of `checkpoints`; left out, the final weights.

    Returns
    -------
    pathlib.Path or None
        None for step 0, whose weights are drawn and not kept.

    Raises
    ------
    WorkbookError
        If no weights were kept at that step.
    """
    if checkpoint is None:
        return FOLDER / "weights.safetensors"
    step = one_of("pretrained (step of the embedded model)", str(checkpoint), checkpoints())
    return None if step == UNTRAINED else FOLDER / "checkpoints" / f"{step}.safetensors"
