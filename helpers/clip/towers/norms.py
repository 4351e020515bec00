"""Layer norms as what they are once a token's deviation is known: linear maps."""

from dataclasses import dataclass

import torch
from timm.layers import RmsNorm
from torch import nn

CENTRED = {nn.LayerNorm: True, nn.RMSNorm: False, RmsNorm: False}
"""Kinds of norm, and whether they subtract the mean."""


@dataclass(frozen=True)
class Norm:
    """A layer norm or RMS norm.

    With C = I - 11ᵀ/width (or I, for an RMS norm) it maps x to C x / deviation ⊙ gain + bias.
    """

    gain: torch.Tensor
    bias: torch.Tensor
    epsilon: float  # added to the mean square
    centred: bool  # whether the mean is subtracted

    @classmethod
    def of(cls, module: nn.Module) -> "Norm | None":
        """Read a library's norm."""
        if isinstance(module, nn.Identity):
            return None
        centred = next((c for kind, c in CENTRED.items() if isinstance(module, kind)), None)
        if centred is None or module.weight is None:
            raise TypeError(f"its norm is a {type(module).__name__}")
        bias = getattr(module, "bias", None)
        bias = torch.zeros_like(module.weight) if bias is None else bias
        epsilon = torch.finfo(torch.float32).eps if module.eps is None else module.eps
        return cls(module.weight, bias, epsilon, centred)

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalise, and return 1 / deviation, too."""
        x = x.float()
        if self.centred:
            shape = self.gain.shape
            normed, _, inverse = torch.native_layer_norm(
                x, shape, self.gain, self.bias, self.epsilon
            )
        else:
            inverse = (x.square().mean(dim=-1, keepdim=True) + self.epsilon).rsqrt()
            normed = x * inverse * self.gain + self.bias
        return normed, inverse[..., 0]

    def before(self, matrix: torch.Tensor) -> torch.Tensor:
        """Return C diag(gain) `matrix`, width × any: the norm, then the matrix."""
        gained = self.gain[:, None] * matrix
        return gained - gained.mean(dim=-2, keepdim=True) if self.centred else gained

    def after(self, rows: torch.Tensor) -> torch.Tensor:
        """Return `rows` C diag(gain), any × width: vectors, then the norm."""
        centred = rows - rows.mean(dim=-1, keepdim=True) if self.centred else rows
        return centred * self.gain
