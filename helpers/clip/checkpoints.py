"""Checkpoints as people have them: whatever training wrapped around a CLIP's weights is peeled off.

A file may hold the weights below other things (``state_dict``, ``model``), under a prefix
(``module.``, ``model._orig_mod.``), twice (as trained and averaged), or one tower alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from helpers.checks import WorkbookError
from helpers.clip import formats, huggingface
from helpers.clip.building import Towers

WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Modules that DDP, torch.compile, FSDP and checkpointing put around others, at any depth."""
TOWERS = ("visual", "vision_model")
"""What open_clip and `transformers` call the image tower; what is before it is a prefix."""
TOWER_ALONE = {"embeddings.": "vision_model.", "conv1.": "visual.", "trunk.": "visual."}
"""Beginning of a name in the state of an image tower alone → the prefix that is missing."""
AVERAGED = ("ema", "teacher", "averaged", "swa")
"""Words for weights that are averages over the training, or follow those that were trained."""
IMAGE_POSITIONS = (
    "visual.positional_embedding",
    "visual.trunk.pos_embed",
    "vision_model.embeddings.position_embedding.weight",
)
TEXT_POSITIONS = (
    "positional_embedding",
    "text.positional_embedding",
    "text_model.embeddings.position_embedding.weight",
)
TEXT_ROOTS = ("text", "text_model", "text_encoder", "token_embedding", "transformer")
"""First part of the names of a text tower's tensors, in any library."""
NO_TEXTS = "its weights have no text tower"
SCALES = ("logit_scale", "logit_bias")
DEEPEST = 3


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one model, out of a file."""

    path: Path
    state: dict[str, torch.Tensor]  # under the names of some library, without prefix
    notes: tuple[str, ...] = ()  # what was peeled off, as sentences without a full stop
    others: tuple[str, ...] = ()  # what other sets of weights of the file are called

    @property
    def has_texts(self) -> bool:
        """Whether there is a text tower."""
        return any(name.split(".")[0] in TEXT_ROOTS for name in self.state)


def open_checkpoint(path: Path, chosen: str | None = None) -> Checkpoint:
    """Read a file and take out the weights of a CLIP."""
    sets = {group.label: group for group in _sets(formats.read(path))}
    if not sets:
        raise WorkbookError(f"{path} {formats.NO_STATE_DICT}.")
    if any("lora_" in name for group in sets.values() for name in group.state):
        raise WorkbookError(f"{path} {formats.ADAPTER}.")
    labels = list(sets)
    label = _choice(path, labels, chosen)
    others = [other for other in labels if other != label] if chosen is None else []
    notes = tuple(_notes(path, sets[label]))
    return Checkpoint(path, _whole_names(sets[label].state), notes, tuple(others))


def own_sizes(checkpoint: Checkpoint, model: nn.Module) -> dict[str, int]:
    """Return at which sizes weights were trained, by the number of their positions."""
    lengths = {name: value.shape[-2] for name, value in checkpoint.state.items() if value.ndim > 1}
    sizes = {}
    trunk = getattr(model.visual, "trunk", None)
    trained = next((lengths[name] for name in IMAGE_POSITIONS if name in lengths), None)
    built = getattr(trunk or model.visual, "pos_embed" if trunk else "positional_embedding", None)
    if trained and built is not None and trained != built.shape[-2]:
        rows, columns = trunk.patch_embed.grid_size if trunk else model.visual.grid_size
        patch = (trunk.patch_embed if trunk else model.visual).patch_size[0]
        side = max(trained - built.shape[-2] + rows * columns, 0) ** 0.5
        sizes |= {"image_size": round(side) * patch} if side == round(side) else {}
    trained = next((lengths[name] for name in TEXT_POSITIONS if name in lengths), None)
    built = getattr(getattr(model, "text", None) or model, "positional_embedding", None)
    if trained and built is not None and trained != built.shape[-2]:
        sizes["context_length"] = model.context_length + trained - built.shape[-2]
    return sizes


def fill(model: nn.Module, checkpoint: Checkpoint) -> tuple[nn.Module, list[str]]:
    """Load weights into a model, or into its image tower where there are no others."""
    state = huggingface.converted(checkpoint.state, model)
    notes = []
    if not any(_is_text(name) for name in state.keys() & model.state_dict().keys()):
        model = Towers(model.visual, None, context_length=0)
        notes += ["it has an image tower alone"]
    wanted = model.state_dict()
    roots = {name.split(".")[0] for name in wanted}
    outside = [name for name in state if name.split(".")[0] not in roots]
    state = {name: value for name, value in state.items() if name not in outside}
    # Weights from before there was a bias have none, and an image tower alone needs no scale.
    for name in SCALES if getattr(model, "text", model) is None else SCALES[1:]:
        if name in wanted:
            state.setdefault(name, torch.zeros_like(wanted[name]))
    _check_fit(checkpoint.path, state, wanted)
    model.load_state_dict(state)
    if outside:
        notes.append(f"left out, as no part of the model: {_some(outside)}")
    return model, notes


@dataclass(frozen=True)
class _Set:
    """One set of weights of a file: where it is, under which prefix, in what it was wrapped."""

    where: tuple[str, ...]
    prefix: str
    wrappers: tuple[str, ...]
    state: dict[str, torch.Tensor]

    @property
    def label(self) -> str:
        return ".".join([*self.where, self.prefix.rstrip(".")]).strip(".")


def _sets(contents: Mapping) -> list[_Set]:
    sets = [group for where, state in _dicts(contents) for group in _split(where, state)]
    of_towers = [group for group in sets if any(_prefix(name) == "" for name in group.state)]
    return of_towers or sorted(sets, key=lambda group: -len(group.state))[:1]


def _dicts(contents: Mapping, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple, dict]]:
    """Go through all state dicts in a checkpoint, from the outside in."""
    named = {key: value for key, value in contents.items() if isinstance(key, str)}
    if state := {key: value for key, value in named.items() if isinstance(value, torch.Tensor)}:
        yield where, state
    if len(where) < DEEPEST:
        for key, value in named.items():
            if isinstance(value, Mapping):
                yield from _dicts(value, (*where, key))


def _split(where: tuple[str, ...], state: dict[str, torch.Tensor]) -> Iterator[_Set]:
    """Split a state dict by the prefixes under which it has image towers."""
    wrapped = {part for name in state for part in name.split(".")} & {*WRAPPERS}
    bare = {_without_wrappers(name): value for name, value in state.items()}
    counts = Counter(prefix for name in bare if (prefix := _prefix(name)) is not None)
    # A lone name that looks like a tower's, in some other part, makes no set of weights.
    most = max(counts.values(), default=0)
    prefixes = [prefix for prefix, count in counts.items() if count > most / 2] or [""]
    for prefix in prefixes:
        longer = tuple(each for each in prefixes if each.startswith(prefix) and each != prefix)
        members = {
            name.removeprefix(prefix): value
            for name, value in bare.items()
            if name.startswith(prefix) and not name.startswith(longer)
        }
        yield _Set(where, prefix, tuple(sorted(wrapped)), members)


def _prefix(name: str) -> str | None:
    """Return what is before the image tower in a tensor's name; None if it is of another part."""
    parts = name.split(".")
    first = next((place for place, part in enumerate(parts) if part in TOWERS), None)
    return None if first is None else "".join(f"{part}." for part in parts[:first])


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _whole_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put the prefix before the names of an image tower that was saved without it."""
    if any(_prefix(name) == "" for name in state):
        return state
    starts = [start for start in TOWER_ALONE if any(name.startswith(start) for name in state)]
    prefix = TOWER_ALONE[starts[0]] if starts else ""
    return {f"{prefix}{name}": value for name, value in state.items()}


def _choice(path: Path, labels: list[str], chosen: str | None) -> str:
    if chosen is None:
        return next((label for label in labels if not _is_average(label)), labels[0])
    if chosen not in labels:
        raise WorkbookError(
            f"{path} has no set of weights {chosen!r}; it has {', '.join(map(repr, labels))}."
        )
    return chosen


def _is_average(label: str) -> bool:
    return any(word in label.lower() for word in AVERAGED)


def _notes(path: Path, group: _Set) -> Iterator[str]:
    if group.label:
        average = ", an average over the training" if _is_average(group.label) else ""
        yield f"weights: {group.label} of {path.name}{average}"
    if group.wrappers:
        yield f"taken off the names of its weights: {', '.join(group.wrappers)}"


def _is_text(name: str) -> bool:
    return name.split(".")[0] not in ("visual", *SCALES)


def _check_fit(path: Path, state: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    missing = [name for name in wanted if name not in state]
    foreign = [name for name in state if name not in wanted]
    other = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    if missing == ["visual.proj"]:
        raise WorkbookError(
            f"{path} is of an image tower without its projection, so that it gives no embedding;"
            " save it with the projection (transformers' CLIPVisionModelWithProjection)."
        )
    problems = [f"lacks {_some(missing)}"] if missing else []
    problems += [f"has {_some(foreign)}, which the model has not"] if foreign else []
    if other:
        read, built = (_shape(of[other[0]]) for of in (state, wanted))
        problems.append(f"has {other[0]} of the shape {read}, where the model has {built}")
    if problems:
        raise WorkbookError(
            f"The weights in {path} don't fit the model: their names or sizes are those of another"
            f" model. The file {'; it '.join(problems)}. Give the name of the model that they are"
            " of, or its own configuration beside them."
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def _shape(value: torch.Tensor) -> str:
    return "×".join(map(str, value.shape)) or "1"
