"""Models that open_clip does not build as a whole: a vision tower alone, or two given towers."""

import torch
from open_clip.model import _build_vision_tower
from torch import nn


class Towers(nn.Module):
    """A vision and a text tower, encoding as open_clip's models do.

    Parameters
    ----------
    visual : Module
    text : Module or None
        None where its parts are not on this machine.
    context_length : int
        Tokens per text.
    sigmoid : bool
        Whether logits have a bias, for pairs judged one by one.
    """

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
    """Build the vision tower of an open_clip model, untrained.

    Parameters
    ----------
    config : dict
        As of `open_clip.get_model_config`.

    Returns
    -------
    Module
    """
    vision = config["vision_cfg"] | {"timm_model_pretrained": False}
    if "timm_model_name" not in vision:
        vision.pop("timm_model_pretrained")
    return _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))
