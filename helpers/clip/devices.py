"""Where a model runs: its device, and quicker kernels for linear layers on a processor."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from helpers.checks import WorkbookError


def resolve(device: str) -> str:
    """Return the torch device that a parameter names: of ``"auto"``, a GPU where there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    # 32-bit means 32 bits: by default a GPU's convolutions keep 10 of the 23 digits.
    torch.backends.cudnn.allow_tf32 = False
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise WorkbookError(
            f"device has no value {device!r} on this machine; choose auto or cpu."
        ) from error
    return device


class QuickLinear(TorchFunctionMode):
    """A context in which linear layers of any library's modules run in oneDNN.

    PyTorch gives float32 products to MKL, which uses half of the vector width of processors that
    aren't Intel's; oneDNN uses all of it everywhere, and adds the bias in the same go. Sums are
    added up in another order: results differ by about 1e-6 of their size. Where there is no
    oneDNN, on a GPU and in other precisions nothing changes.
    """

    def __torch_function__(
        self, function: Callable, types: Sequence, args: Sequence = (), kwargs: dict | None = None
    ) -> object:
        """Run a function of torch; a linear layer in oneDNN."""
        if function is F.linear:
            return linear(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def linear(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute `input` `weight`ᵀ + `bias`, in oneDNN where that can be done: … × outputs."""
    if not _has_onednn(input):
        return F.linear(input, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")


def _has_onednn(x: torch.Tensor) -> bool:
    plain = x.device.type == "cpu" and x.dtype == torch.float32
    return plain and torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu")
