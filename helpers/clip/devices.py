"""Where a model runs."""

import torch

from helpers.checks import WorkbookError


def resolve(device: str) -> str:
    """Return the torch device that a parameter names.

    Parameters
    ----------
    device : str
        A torch device such as ``"cuda:1"``; ``"auto"`` is a GPU where there is one, else the CPU.

    Returns
    -------
    str

    Raises
    ------
    WorkbookError
        If this machine has no such device.
    """
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
