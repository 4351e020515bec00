"""Open a model: the embedded one, open_clip's by name and tag, one of `transformers`, a file."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

from helpers.checks import WorkbookError, one_of
from helpers.clip import archives, devices, files, huggingface, tokenizers, weights
from helpers.clip.building import Towers, vision_tower
from helpers.clip.model import Model

# What open_clip and torch say in many lines when a weights file is not what it should be.
REASONS = {
    "weights_only": "it is not a plain state dict",
    "loading state_dict": "its tensors have the names or shapes of another model",
}


@dataclass(frozen=True)
class Opened:
    """A model and what goes with it; see `Model`."""

    clip: torch.nn.Module
    tokenizer: Callable
    features: int
    mean: tuple[float, ...] = OPENAI_DATASET_MEAN
    std: tuple[float, ...] = OPENAI_DATASET_STD


def load(
    name: str = weights.DEFAULT,
    pretrained: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
) -> Model:
    """Open a CLIP.

    Parameters
    ----------
    name : str, optional
        ``"embedded-clip"`` or ``"embedded"``, our own small models; open_clip's name of a model,
        such as ``"ViT-B-32"``; or a model as `transformers` stores it: a folder, or its id on the
        hub, such as ``"openai/clip-vit-base-patch32"``.
    pretrained : str, optional
        For a name of open_clip's, its tag of the weights, such as ``"openai"``, or the path of a
        local ``.safetensors`` or ``.pt`` file. Left out, the model is untrained (seed 0), and every
        result says so.
    device : str, optional
        A torch device; ``"auto"`` takes a GPU where there is one.
    precision : {"auto", "float32", "bfloat16"}, optional
        Numbers of the forward pass. ``"auto"`` is float32, in which contributions sum to the
        embedding exactly; bfloat16 is about twice as fast and keeps three digits.
    seed : int, optional
        Of the weights of an untrained model; 0 is the one that results are compared with.

    Returns
    -------
    Model

    Raises
    ------
    WorkbookError
        If a value is unknown, or the weights can't be had, don't fit or aren't finite.

    Notes
    -----
    The activation (QuickGELU or GELU) follows from the tag, from OpenAI's archive or from the
    ``config.json`` beside the weights, since weights run silently with the wrong one. Another local
    file can't tell: its model needs the name with the right ending, such as
    ``"ViT-B-32-quickgelu"`` for OpenAI's weights, and a warning says so where both exist.
    """
    one_of("precision", precision, weights.PRECISIONS)
    device = devices.resolve(device)
    path = weights.locate(name, pretrained)
    opened = WAYS[weights.kind_of(name)](name, pretrained, path, seed)
    clip = opened.clip.eval().requires_grad_(False).to(device)
    _check_finite(clip, path)
    return Model(
        clip=clip,
        tokenizer=opened.tokenizer,
        name=name,
        pretrained=pretrained,
        title=weights.title(name, pretrained),
        fingerprint=weights.fingerprint(path),
        features=opened.features,
        mean=tuple(opened.mean),
        std=tuple(opened.std),
        device=device,
        precision=weights.PRECISIONS[precision],
    )


def _check_finite(clip: torch.nn.Module, path: Path | None) -> None:
    # A sum shows a number that is not finite, in a fraction of the time of looking at each.
    for name, values in clip.named_parameters():
        if not values.sum().isfinite():
            raise WorkbookError(
                f"The weights in {path} hold NaN or infinity, in {name}; download them again."
            )


def _embedded(name: str, pretrained: str | None, _: Path | None, seed: int) -> Opened:
    from helpers.clip import embedded

    clip, tokenizer = embedded.build(name, pretrained, seed=seed)
    return Opened(clip, tokenizer, clip.text_projection.shape[1])


def _hugging_face(name: str, pretrained: str | None, path: Path | None, seed: int) -> Opened:
    folder = weights.folder(name, pretrained)
    clip = huggingface.build(folder, trained=path is not None, seed=seed)
    tokenizer = huggingface.open_tokenizer(folder, name)
    features = huggingface.features(folder)
    return Opened(clip, tokenizer, features, *huggingface.normalisation(folder))


def _open_clip(name: str, pretrained: str | None, path: Path | None, seed: int) -> Opened:
    tag = open_clip.get_pretrained_cfg(name, pretrained) if pretrained else {}
    config = open_clip.get_model_config(name)
    tokenizer = tokenizers.open_tokenizer(name)
    if reason := tokenizers.lacks_tower(name):
        clip, tokenizer = _image_tower(name, path, seed), tokenizers.NoTokenizer(name, reason)
    else:
        clip = _filled(name, path, tag, seed)
    return Opened(clip, tokenizer, config["embed_dim"], *_normalisation(name, tag))


def _filled(name: str, path: Path | None, tag: dict, seed: int) -> torch.nn.Module:
    """Build a model of open_clip's with the weights of a file, whatever names they have."""
    if path is None:
        return _create(name, None, path, seed, **_activation(tag))
    if archives.is_archive(path):
        clip = _create(name, None, path, quick_gelu=True)
        clip.load_state_dict(archives.read(path))
        return clip
    if rules := huggingface.rules_of(files.names_in(path)):
        clip = _create(name, None, path, **_activation(tag or _configured(name, path)))
        huggingface.load_into(clip, files.read(path), rules, path)
        return clip
    if not tag:
        _warn_of_activation(name)
    return _create(name, str(path), path, **_activation(tag))


def _activation(tag: dict) -> dict[str, bool]:
    return {"quick_gelu": bool(tag.get("quick_gelu"))} if tag else {}


def _configured(name: str, path: Path) -> dict:
    """Read the activation from the configuration beside a file of `transformers`."""
    beside = path.parent / "config.json"
    if not beside.is_file():
        _warn_of_activation(name)
        return {}
    config = huggingface.read_config(path.parent)
    return {"quick_gelu": huggingface.sizes(config, "vision")["hidden_act"] == "quick_gelu"}


def _normalisation(name: str, tag: dict) -> tuple[tuple[float, ...], tuple[float, ...]]:
    names = open_clip.list_pretrained_tags_by_model(name)
    tags = [tag] if tag else [open_clip.get_pretrained_cfg(name, one) for one in names]
    known = {(tuple(one["mean"]), tuple(one["std"])) for one in tags if one.get("mean")}
    # A file does not say how pixels were normalised; where all tags of a model agree, they do.
    return known.pop() if len(known) == 1 else (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)


def _image_tower(name: str, path: Path | None, seed: int) -> Towers:
    """Build the image tower alone, where the text tower's configuration is not on this machine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        visual = vision_tower(open_clip.get_model_config(name))
    if path is not None:
        state = files.read(path)
        state = state.get("state_dict", state)
        own = {key.removeprefix("module."): value for key, value in state.items()}
        start = "visual."
        own = {key[len(start) :]: v.float() for key, v in own.items() if key.startswith(start)}
        try:
            visual.load_state_dict(own)
        except RuntimeError as error:
            raise WorkbookError(_misfit(name, path, error)) from error
    return Towers(visual, None, context_length=0)


def _create(
    name: str, weights_file: str | None, path: Path | None, seed: int = 0, **options
) -> torch.nn.Module:
    # open_clip tells of random weights and configs through the root logger; the title says it here.
    logging.getLogger().addFilter(_drop_open_clip_notices)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return open_clip.create_model(name, weights_file, pretrained_text=False, **options)
    except Exception as error:  # torch, safetensors and pickle each raise kinds of their own
        raise WorkbookError(_misfit(name, path, error)) from error
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
            stacklevel=5,
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


WAYS = {
    weights.EMBEDDED: _embedded,
    weights.HUGGING_FACE: _hugging_face,
    weights.OPEN_CLIP: _open_clip,
}
"""What a model's name means → how it is opened."""
