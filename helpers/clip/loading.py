"""Open a model: the embedded one, open_clip's by name and tag, a local file, or untrained."""

import logging
import warnings
from pathlib import Path

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

from helpers.checks import WorkbookError, one_of
from helpers.clip import devices, weights
from helpers.clip.forward import check_supported
from helpers.clip.model import Model

# What open_clip and torch say in many lines when a weights file is not what it should be.
REASONS = {
    "weights_only": "it is not a plain state dict",
    "loading state_dict": "its tensors have the names or shapes of another model",
}


def load(
    name: str = weights.EMBEDDED,
    pretrained: str | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Model:
    """Open a CLIP with a vision transformer.

    Parameters
    ----------
    name : str, optional
        ``"embedded"``, the small model that comes with the workbook, or open_clip's name of a
        model, such as ``"ViT-B-32"``.
    pretrained : str, optional
        open_clip's tag of the weights, such as ``"openai"``, or the path of a local
        ``.safetensors`` or ``.pt`` file. Left out, an open_clip model is untrained (seed 0), and
        every result says so.
    device : str, optional
        A torch device; ``"auto"`` takes a GPU where there is one.
    precision : {"auto", "float32", "bfloat16"}, optional
        Numbers of the forward pass. ``"auto"`` is float32, in which contributions sum to the
        embedding exactly; bfloat16 is about twice as fast and keeps three digits.

    Returns
    -------
    Model

    Raises
    ------
    WorkbookError
        If a value is unknown, the weights can't be had or don't fit, or the model has no class
        token to take apart.

    Notes
    -----
    The activation (QuickGELU or GELU) follows from the tag, since weights run silently with the
    wrong one. A local file can't tell: its model needs the name with the right ending, such as
    ``"ViT-B-32-quickgelu"`` for OpenAI's weights, and a warning says so where both exist.
    """
    one_of("precision", precision, weights.PRECISIONS)
    device = devices.resolve(device)
    path = weights.locate(name, pretrained)
    clip, tokenizer = _build(name, pretrained, path)
    check_supported(clip.visual, name)
    preprocess = getattr(clip.visual, "preprocess_cfg", {})
    return Model(
        clip=clip.eval().requires_grad_(False).to(device),
        tokenizer=tokenizer,
        name=name,
        pretrained=pretrained,
        title=weights.title(name, pretrained),
        fingerprint=weights.fingerprint(path),
        mean=tuple(preprocess.get("mean", OPENAI_DATASET_MEAN)),
        std=tuple(preprocess.get("std", OPENAI_DATASET_STD)),
        device=device,
        precision=weights.PRECISIONS[precision],
    )


def _build(name: str, pretrained: str | None, path: Path | None) -> tuple:
    if name == weights.EMBEDDED:
        from helpers.clip import embedded

        return embedded.build(pretrained)
    tag = open_clip.get_pretrained_cfg(name, pretrained) if pretrained else {}
    if path is not None and not tag:
        _warn_of_activation(name)
    activation = {"quick_gelu": bool(tag.get("quick_gelu"))} if tag else {}
    normalisation = {key: tag[key] for key in ("mean", "std") if key in tag}
    try:
        clip = _create(name, path, force_preprocess_cfg=normalisation, **activation)
        return clip, open_clip.get_tokenizer(name)
    except Exception as error:  # torch, safetensors and pickle each raise kinds of their own
        raise WorkbookError(_misfit(name, path, error)) from error


def _create(name: str, path: Path | None, **options) -> torch.nn.Module:
    # open_clip tells of random weights and configs through the root logger; the title says it here.
    logging.getLogger().addFilter(_drop_open_clip_notices)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return open_clip.create_model(name, str(path) if path else None, **options)
    finally:
        logging.getLogger().removeFilter(_drop_open_clip_notices)


def _drop_open_clip_notices(record: logging.LogRecord) -> bool:
    return "open_clip" not in record.pathname


def _warn_of_activation(name: str) -> None:
    base = name.removesuffix("-quickgelu")
    if {base, f"{base}-quickgelu"} <= set(open_clip.list_models()):
        warnings.warn(
            f"A weights file does not say its activation; {name} uses"
            f" {'GELU' if name == base else 'QuickGELU'}. OpenAI's and some early weights need"
            f" {base}-quickgelu, others {base}.",
            stacklevel=4,
        )


def _misfit(name: str, path: Path | None, error: Exception) -> str:
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".: ")
    known = (reason for text, reason in REASONS.items() if text in str(error))
    reason = next(known, first_line)
    if path is None:
        return f"open_clip can't build {name} on this machine: {reason}. Choose another model."
    return (
        f"The weights in {path} can't be loaded into {name}: {reason}. Give a state dict of this"
        " model as .safetensors, or as .pt that loads without running code."
    )
