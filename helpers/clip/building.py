"""Building open_clip's models, untrained: as a whole, a vision tower alone, or two given towers."""

import logging

import open_clip
import torch
from open_clip.model import _build_vision_tower
from torch import nn

from helpers.checks import WorkbookError


class Towers(nn.Module):
    """A vision and a text tower, encoding as open_clip's models do."""

    def __init__(
        self, visual: nn.Module, text: nn.Module | None, context_length: int, sigmoid: bool = False
    ):
        super().__init__()
        self.visual, self.text, self.context_length = visual, text, context_length
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.logit_bias = nn.Parameter(torch.zeros(())) if sigmoid else None

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embed normalised images, n × features."""
        return self.visual(pixels)

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embed tokens, n × features."""
        return self.text(tokens)


def vision_tower(config: dict) -> nn.Module:
    """Build the vision tower of an open_clip model, untrained."""
    vision = config["vision_cfg"] | {"timm_model_pretrained": False}
    if "timm_model_name" not in vision:
        vision.pop("timm_model_pretrained")
    return _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))


def whole(name: str, quick_gelu: bool | None = None, seed: int = 0, **sizes: int) -> nn.Module:
    """Build an open_clip model, untrained, by its name or ``local-dir:`` and a folder.

    ``sizes`` are ``image_size`` and ``context_length``, where they aren't the configuration's;
    ``quick_gelu`` is the configuration's where it is left out.
    """
    options = {} if quick_gelu is None else {"quick_gelu": quick_gelu}
    options |= {f"force_{size}": value for size, value in sizes.items()}
    # open_clip reports random weights and configs through the root logger; the title does so here.
    logging.getLogger().addFilter(_drop_open_clip_notices)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return open_clip.create_model(
                name, load_weights=False, pretrained_text=False, **options
            )
    except Exception as error:  # torch, timm and transformers each raise kinds of their own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".: ")
        raise WorkbookError(
            f"open_clip can't build {name} on this machine: {reason}. Choose another model."
        ) from error
    finally:
        logging.getLogger().removeFilter(_drop_open_clip_notices)


def image_tower(name: str, quick_gelu: bool | None = None, seed: int = 0, **sizes: int) -> Towers:
    """Build the image tower of an open_clip model alone, as `whole` does the model."""
    config = open_clip.get_model_config(name)
    if quick_gelu is not None:
        config["quick_gelu"] = quick_gelu
    is_timm = "timm_model_name" in config["vision_cfg"]
    if "image_size" in sizes and not is_timm:
        config["vision_cfg"]["image_size"] = sizes["image_size"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        visual = vision_tower(config)
    if "image_size" in sizes and is_timm:
        visual.set_input_size(sizes["image_size"])
    return Towers(visual, None, context_length=0)


def _drop_open_clip_notices(record: logging.LogRecord) -> bool:
    return "open_clip" not in record.pathname
