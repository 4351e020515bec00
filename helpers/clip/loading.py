"""Open a model: the embedded one, open_clip's by name and tag, one in a folder, a file."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

from helpers.checks import WorkbookError, one_of
from helpers.clip import (
    building,
    checkpoints,
    devices,
    formats,
    huggingface,
    names,
    tokenizers,
    weights,
)
from helpers.clip.checkpoints import Checkpoint
from helpers.clip.model import Model
from helpers.clip.names import Named
from helpers.clip.weights import Weights


@dataclass(frozen=True)
class Plan:
    """How a model is opened."""

    # sizes that differ from the configuration's → the model, untrained
    build: Callable[..., torch.nn.Module]
    tokenizer: Callable
    features: int  # length of an embedding
    mean: tuple[float, ...] = OPENAI_DATASET_MEAN
    std: tuple[float, ...] = OPENAI_DATASET_STD
    # how images are brought to the model's size: what `Preprocessing` takes beside that
    resizing: Mapping[str, object] = field(default_factory=lambda: _resizing({}))
    notes: tuple[str, ...] = ()  # what was learnt on the way; see `Model.notes`


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
        such as ``"ViT-B-32"`` or, as others write it, ``"ViT-B/32"``; or a model with a
        configuration of its own, as `transformers` and open_clip store it: a folder, or its id on
        the hub, such as ``"openai/clip-vit-base-patch32"``.
    pretrained : str, optional
        For a name of open_clip's, its tag of the weights, such as ``"openai"``, or the path of a
        local ``.safetensors`` or ``.pt`` file, if need be with the set of weights in it that is
        meant: ``"epoch.pt#state_dict_ema"``. Left out, the model is untrained (seed 0), and every
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
    The activation (QuickGELU or GELU) and the normalisation of pixels follow from the tag, from
    OpenAI's archive, or from the configuration beside the weights, since weights run silently with
    the wrong ones. Another local file doesn't state them: its model needs the name with the right
    ending, such as ``"ViT-B-32-quickgelu"`` for OpenAI's weights, and a warning says so where both
    exist.
    The size of images and the number of text positions are those of the weights.

    Examples
    --------
    >>> from helpers.clip import load
    >>> model = load("embedded")  # or load("ViT-B-32", "openai"), which is downloaded once
    >>> model.layers, model.heads, model.encode_text(["a red star"]).shape
    (6, 6, (1, 128))
    """
    one_of("precision", precision, weights.PRECISIONS)
    device = devices.resolve(device)
    named = names.resolve(name, pretrained)
    located = weights.locate(named.name, named.pretrained)
    fingerprint = located.fingerprint
    plan = WAYS[named.kind](named, located, seed)
    clip, tokenizer, notes = _filled(named, plan, located)
    clip = clip.eval().requires_grad_(False).to(device)
    _check_finite(clip, located.path)
    return Model(
        clip=clip,
        tokenizer=tokenizer,
        name=named.name,
        pretrained=named.pretrained,
        title=names.title(named.name, named.pretrained),
        fingerprint=fingerprint,
        features=plan.features,
        mean=tuple(plan.mean),
        std=tuple(plan.std),
        resizing=plan.resizing,
        device=device,
        precision=weights.PRECISIONS[precision],
        notes=notes,
    )


def _filled(
    named: Named, plan: Plan, located: Weights
) -> tuple[torch.nn.Module, Callable, tuple[str, ...]]:
    """Build a model at the sizes of its weights and load these."""
    clip = plan.build()
    if located.path is None or named.kind == names.EMBEDDED:
        return clip, plan.tokenizer, plan.notes
    checkpoint = _opened(located)
    sizes = checkpoints.own_sizes(checkpoint, clip)
    if sizes and located.configuration != formats.TRANSFORMERS:
        clip = plan.build(**sizes)
    clip, notes = checkpoints.fill(clip, checkpoint)
    tokenizer = plan.tokenizer
    if getattr(clip, "text", clip) is None and not hasattr(tokenizer, "reason"):
        tokenizer = tokenizers.NoTokenizer(named.name, checkpoints.NO_TEXTS)
    resized = (f"{size.replace('_', ' ')} {value}, by its weights" for size, value in sizes.items())
    return clip, tokenizer, (*plan.notes, *checkpoint.notes, *resized, *notes)


def _opened(located: Weights) -> Checkpoint:
    if formats.is_archive(located.path):
        return Checkpoint(located.path, formats.read_archive(located.path))
    checkpoint = checkpoints.open_checkpoint(located.path, located.chosen)
    if checkpoint.others:
        warnings.warn(
            f"{located.path} has several sets of weights. {checkpoint.notes[0]}; another is chosen"
            f" by its name after the file's, such as {located.path.name}{names.INSIDE}"
            f"{checkpoint.others[0]}.",
            stacklevel=4,
        )
    return checkpoint


def _check_finite(clip: torch.nn.Module, path: Path | None) -> None:
    # A sum shows a number that is not finite, in a fraction of the time of looking at each.
    for name, values in clip.named_parameters():
        if not values.sum().isfinite():
            raise WorkbookError(
                f"The weights in {path} hold NaN or infinity, in {name}; download them again."
            )


def _embedded(named: Named, _: Weights, seed: int) -> Plan:
    from helpers.clip.embedded.weights import build

    clip, tokenizer = build(named.name, named.pretrained, seed=seed)
    return Plan(lambda: clip, tokenizer, clip.text_projection.shape[1])


def _in_folder(named: Named, located: Weights, seed: int) -> Plan:
    folder = located.path.parent if located.path else weights.folder(named)
    return _configured(named.name, folder, located.configuration, seed)


def _of_open_clip(named: Named, located: Weights, seed: int) -> Plan:
    if weights.describes(located):
        plan = _configured(named.name, located.path.parent, located.configuration, seed)
        _check_size(named.name, plan, located)
        return plan
    tag = open_clip.get_pretrained_cfg(named.name, named.pretrained) if named.pretrained else {}
    quick_gelu = bool(tag.get("quick_gelu")) if tag else None
    if located.path and formats.is_archive(located.path):
        quick_gelu = True
    elif located.path and not tag:
        _warn_of_activation(named.name)
    mean, std = _normalisation(named.name, tag, located)
    options = {"quick_gelu": quick_gelu, "seed": seed}
    resizing = _agreed_resizing(_pixel_settings(named.name, tag, located))
    return _planned(named.name, named.name, options, mean, std, resizing)


def _configured(name: str, folder: Path, configuration: str, seed: int) -> Plan:
    """Plan a model by the configuration that lies beside its weights."""
    if configuration == formats.TRANSFORMERS:
        return Plan(
            lambda **_: huggingface.build(folder, seed),
            huggingface.open_tokenizer(folder, name),
            huggingface.features(folder),
            *huggingface.normalisation(folder),
            huggingface.resizing(folder),
            notes=(_read_as(configuration),),
        )
    values = formats.read_json(folder / configuration)
    if not isinstance(values.get("model_cfg"), dict):
        raise WorkbookError(
            f"{folder / configuration} has no model_cfg, which says how the model is built; give"
            " open_clip's name as model and the file as pretrained."
        )
    pixels = values.get("preprocess_cfg") or {}
    mean, std = (pixels.get("mean", OPENAI_DATASET_MEAN), pixels.get("std", OPENAI_DATASET_STD))
    local = f"{tokenizers.LOCAL}{folder}"
    resizing, note = _resizing(pixels), _read_as(configuration)
    return _planned(name, local, {"seed": seed}, mean, std, resizing, note)


def _read_as(configuration: str) -> str:
    return f"read as {configuration} beside its weights says"


def _planned(
    name: str,
    built_as: str,
    options: dict,
    mean: tuple,
    std: tuple,
    resizing: Mapping[str, object],
    *notes: str,
) -> Plan:
    """Plan a model that open_clip builds; its image tower alone where the other can't be had."""
    build, tokenizer = building.whole, tokenizers.open_tokenizer(built_as)
    if reason := tokenizers.why_no_tower(built_as):
        build, tokenizer = building.image_tower, tokenizers.NoTokenizer(name, reason)
    return Plan(
        lambda **sizes: build(built_as, **options, **sizes),
        tokenizer,
        open_clip.get_model_config(built_as)["embed_dim"],
        mean,
        std,
        resizing,
        notes,
    )


def _check_size(name: str, plan: Plan, located: Weights) -> None:
    """Refuse a name whose embeddings have another length than those of the configuration."""
    expected = open_clip.get_model_config(name)["embed_dim"]
    if expected != plan.features:
        raise WorkbookError(
            f"{located.path.parent / located.configuration}, beside the weights, is of a model"
            f" whose embeddings have {plan.features} numbers, and {name} has {expected}; give"
            f" {located.path} as model, without pretrained."
        )


def _pixel_settings(name: str, tag: dict, located: Weights) -> list[Mapping[str, object]]:
    """Find what is stated of pixels: beside the weights, by the tag, or by all tags of a model."""
    beside = {}
    if located.configuration:
        beside = formats.read_json(located.path.parent / formats.OPEN_CLIP)
    pixels = beside.get("preprocess_cfg") or {}
    if "mean" in pixels:
        return [pixels]
    tags = open_clip.list_pretrained_tags_by_model(name)
    return [tag] if tag else [open_clip.get_pretrained_cfg(name, each) for each in tags]


def _agreed_resizing(known: list[Mapping[str, object]]) -> Mapping[str, object]:
    """Return how images are resized: as all settings agree, or else as most models do it."""
    ways = [_resizing(settings) for settings in known]
    return ways[0] if ways and all(way == ways[0] for way in ways) else _resizing({})


def _resizing(pixels: Mapping[str, object]) -> Mapping[str, object]:
    """Return a resize mode and interpolation of open_clip's, by its own defaults."""
    bilinear = pixels.get("interpolation") == "bilinear"
    return {
        "mode": pixels.get("resize_mode") or "shortest",
        "interpolation": "bilinear" if bilinear else "bicubic",
    }


def _normalisation(name: str, tag: dict, located: Weights) -> tuple[tuple, tuple]:
    """Find the mean and standard deviation of pixels: of a tag, or of all tags if they agree."""
    known = _pixel_settings(name, tag, located)
    ways = {
        (tuple(settings["mean"]), tuple(settings.get("std", OPENAI_DATASET_STD)))
        for settings in known
        if settings.get("mean")
    }
    if len(ways) > 1 and located.path:
        warnings.warn(
            f"A weights file does not say how pixels are normalised, and the tags of {name} differ"
            f" in it; OpenAI's mean and standard deviation are taken for {located.path.name}. A"
            f" file {formats.OPEN_CLIP} beside it decides otherwise: "
            '{"preprocess_cfg": {"mean": […], "std": […]}}.',
            stacklevel=5,
        )
    return ways.pop() if len(ways) == 1 else (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)


def _warn_of_activation(name: str) -> None:
    base = name.removesuffix("-quickgelu")
    if {base, f"{base}-quickgelu"} <= set(open_clip.list_models()):
        warnings.warn(
            f"A weights file does not say its activation; {name} uses"
            f" {'GELU' if name == base else 'QuickGELU'}. OpenAI's and some early weights need"
            f" {base}-quickgelu, others {base}.",
            stacklevel=5,
        )


WAYS = {
    names.EMBEDDED: _embedded,
    names.FOLDER: _in_folder,
    names.OPEN_CLIP: _of_open_clip,
}
"""What a model's name means → how it is opened."""
