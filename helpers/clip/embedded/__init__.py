"""The embedded models: small CLIPs of our own whose world is known completely.

`embedded` was taught by captions, prompts and masks, `embedded-clip` by captions alone. Here is
where their files are, without torch, as a run may need only their hash; `weights.build` loads one,
and `helpers.training` makes and measures them. README.md is their card.
"""

import json
from pathlib import Path

from helpers.checks import WorkbookError, one_of

ORGANISMS = Path(__file__).parent / "organisms"
RECIPES = ("embedded", "embedded-clip")
"""Models that can be trained."""
WEIGHTS = "weights.safetensors"
NAMES = tuple(name for name in RECIPES if (ORGANISMS / name / WEIGHTS).exists())
"""Models that have been."""
UNTRAINED = "0"


def folder(name: str) -> Path:
    """Return the folder of a model, one of `RECIPES`: recipe, weights, and what was measured."""
    return ORGANISMS / one_of("embedded model", name, RECIPES)


def architecture(name: str) -> dict:
    """Return the arguments of open_clip's `CLIP`: embed_dim, vision_cfg and text_cfg."""
    return json.loads((folder(name) / "model.json").read_text())


def checkpoints(name: str) -> list[str]:
    """List the steps of training that can be loaded beside the end, as strings."""
    kept = (path.stem for path in folder(name).glob("checkpoints/*.safetensors"))
    return sorted((UNTRAINED, *kept), key=int)


def weights_file(name: str, checkpoint: str | int | None = None) -> Path | None:
    """Find the weights: the final ones, or those at an earlier step of training."""
    if checkpoint is None:
        return folder(name) / WEIGHTS
    if Path(str(checkpoint)).suffix:
        raise WorkbookError(
            f"{checkpoint} holds no weights of {name}, which comes with its own; give the name of"
            " its architecture as well, such as -p model ViT-B-32."
        )
    step = one_of(f"pretrained (step of model {name})", str(checkpoint), checkpoints(name))
    return None if step == UNTRAINED else folder(name) / "checkpoints" / f"{step}.safetensors"
