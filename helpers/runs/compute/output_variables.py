"""All that a run keeps of an image, computed while its views are in memory."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from helpers.analysis import dissection
from helpers.analysis.scores import SCORES, attention_map, pixel_scores
from helpers.checks import WorkbookError
from helpers.runs.storage.layout import Variable

if TYPE_CHECKING:
    from torch import Tensor

    from helpers.clip import Encoding, Model
    from helpers.clip.capabilities import Capabilities

CONTENT = Variable("content", {"byte": 32}, "uint8")
"""The SHA-256 of an image's decoded pixels: the same image on another day and machine."""
LARGEST = 16
"""Neurons that are kept by number, of each image and change: those that carry or hold back most."""

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class OutputSpec:
    """How many values a run keeps of an image, and which scores."""

    layers: int  # how many of the last layers' heads are kept
    changes: int  # how many changes are made
    # names of scores; one registered later is none of the run's
    scores: tuple[str, ...] = tuple(SCORES)

    @property
    def views(self) -> int:
        """The number of views: the original and one per change."""
        return 1 + self.changes


@dataclass(frozen=True)
class Output:
    """A row of the table of what is kept of an image beside its scores."""

    name: str
    # which of `helpers.clip.capabilities.QUESTIONS` the model must answer; "" where none
    needs: str
    # from a `helpers.clip.Model` and the spec to the axes of a
    # `helpers.runs.storage.layout.Variable`
    axes: Callable[["Model", OutputSpec], dict]
    # from an `helpers.clip.Encoding` of images × views, in tensors, and the spec to values with
    # first axis images
    values: Callable[["Encoding", OutputSpec], "Tensor"]
    dtype: str = "float32"
    # whether the pass must keep what heads read from each token, or how neurons fire
    by_token: bool = False
    neurons: bool = False
    # from the values of the images of a batch that are of one source to what is kept of them; by
    # default, values of each image are kept
    pooled: Callable[[np.ndarray], np.ndarray] | None = None


def variables(model: "Model", spec: OutputSpec, sources: Sequence[str]) -> list[Variable]:
    """Return all that is kept of an image, or of a batch of them."""
    by_model = [_variable(row, model, spec, sources) for row in outputs_of(model.capabilities)]
    scores = [*scores_of(model.capabilities, spec.scores), "pixel_change"]
    of_changes = (Variable(name, _changes(spec), "float64") for name in scores)
    return [CONTENT, *by_model, *of_changes]


def _variable(row: Output, model: "Model", spec: OutputSpec, sources: Sequence[str]) -> Variable:
    axes = row.axes(model, spec)
    if row.pooled:
        return Variable(row.name, {"of_source": list(sources)} | axes, row.dtype, per="batch")
    return Variable(row.name, axes, row.dtype)


def pooled(
    values: Mapping[str, np.ndarray], sources: Sequence[str], every: Sequence[str]
) -> Values:
    """Reduce what is kept of a batch, not of its images."""
    members = [[row for row, source in enumerate(sources) if source == name] for name in every]
    rows = {row.name: row for row in OUTPUTS if row.pooled}
    of_batch = {}
    for name in rows.keys() & values.keys():
        reduced = [rows[name].pooled(values[name][images]) for images in members]
        of_batch[name] = np.stack(reduced)[None].astype(rows[name].dtype)
    return of_batch


def is_pooled(name: str) -> bool:
    """Return whether a variable is kept of a batch, and not of each image."""
    return any(row.name == name and row.pooled for row in OUTPUTS)


def content_of(pixels: np.ndarray) -> np.ndarray:
    """Return the SHA-256 of pixels and their shape, as 32 bytes."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels))
    return np.frombuffer(digest.digest(), np.uint8)


def outputs_of(capabilities: "Capabilities") -> list[Output]:
    """Return the rows of `OUTPUTS` that a model can fill."""
    return [row for row in OUTPUTS if row.needs not in capabilities.reasons]


def needed(capabilities: "Capabilities", names: Collection[str]) -> list[Output]:
    """Return the rows of `OUTPUTS` that some variables take; scores take an embedding and a map."""
    taken = {*names, *_COMPARED_AS}
    return [row for row in outputs_of(capabilities) if row.name in taken]


def scores_of(capabilities: "Capabilities", scores: Sequence[str]) -> list[str]:
    """Return those of some scores of `helpers.analysis.scores.SCORES` that a model has."""
    return [name for name in scores if SCORES[name].needs not in capabilities.reasons]


def part_labels(layers: int, rest: Sequence[str]) -> list[str]:
    """Name the rows of the variable ``parts``, whose sum is the original's embedding.

    The rest of a model (`helpers.clip.Model.rest_labels`) is its start, a bias for every layer,
    which counts to that layer's attention, and what comes after the last layer.
    """
    by_layer = [f"L{layer}.{part}" for layer in range(layers) for part in ("attention", "MLP")]
    return [rest[0], *by_layer, *rest[1 + layers :]]


def encoded(encoding: "Encoding", rows: Sequence[Output], spec: OutputSpec) -> Values:
    """Take what is kept from one forward pass over all views of some images."""
    import torch

    values = {}
    for row in rows:
        dtype = torch.float32 if row.pooled else getattr(torch, row.dtype)
        values[row.name] = row.values(encoding, spec).to(dtype).cpu().numpy()
    return values


def scored(drawn: np.ndarray, by_model: Mapping[str, np.ndarray], scores: Sequence[str]) -> Values:
    """Compare the changed views of one image with its original: score → float64, (changes,).

    `drawn` is views × height × width × 3, the original first; `by_model` is what `encoded` gives of
    the same views. What `scored_on_device` gave isn't computed again.
    """
    compared = {} if "pixel_change" in by_model else pixel_scores(drawn[0], drawn[1:])
    left = [SCORES[name] for name in scores if name not in compared and name not in by_model]
    inputs = {
        name: _COMPARED_AS[name](by_model[name], drawn.shape[1:3])
        for name in {row.needs for row in left} & _COMPARED_AS.keys() & by_model.keys()
    } | {"pixels": drawn}
    for row in (row for row in left if row.needs in inputs):
        values = row.function(inputs[row.needs][:1], inputs[row.needs][1:])
        compared[row.name] = _number_per_view(row.name, values, len(drawn) - 1)
    return compared


def _number_per_view(score: str, values: object, views: int) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != (views,):
        raise WorkbookError(
            f"The score {score!r} gave an array of shape {values.shape} for {views} changed views;"
            f" it must return a number for each, an array of shape ({views},)."
        )
    return values


def scored_on_device(pixels: "Tensor", by_model: Mapping[str, np.ndarray]) -> Values:
    """Compute the study's own scores on a GPU, of many images at once: images × changes."""
    import torch

    from helpers.runs.compute import device_scores

    scores = device_scores.pixel_scores(pixels)
    for name, function in device_scores.BY_MODEL.items():
        if SCORES[name].needs in by_model:
            compared = torch.from_numpy(by_model[SCORES[name].needs]).to(pixels.device)
            size = {"size": tuple(pixels.shape[2:4])} if SCORES[name].needs == "attention" else {}
            scores[name] = function(compared, **size)
    return {name: values.cpu().numpy() for name, values in scores.items()}


_COMPARED_AS = {"embedding": lambda values, _: np.asarray(values), "attention": attention_map}


def _by_image(of_views: "Tensor", spec: OutputSpec) -> "Tensor":
    return of_views.unflatten(0, (-1, spec.views))


def _embedding(encoding: "Encoding", spec: OutputSpec) -> "Tensor":
    return _by_image(encoding.embedding, spec)  # images × views × features


def _attention(encoding: "Encoding", spec: OutputSpec) -> "Tensor":
    return _by_image(encoding.attention, spec)


def _heads(encoding: "Encoding", spec: OutputSpec) -> "Tensor":
    return _by_image(encoding.heads, spec)[:, 0, -spec.layers :]


def _parts(encoding: "Encoding", spec: OutputSpec) -> "Tensor":
    import torch

    original = slice(None, None, spec.views)
    rest, mlps = encoding.rest[original], encoding.mlps[original]
    depth = mlps.shape[1]
    biases = rest[:, 1 : 1 + depth]
    attention = encoding.heads[original].sum(dim=2) + biases  # images × layers × features
    by_layer = torch.stack([attention, mlps], dim=2).flatten(1, 2)
    return torch.cat([rest[:, :1], by_layer, rest[:, 1 + depth :]], dim=1)


def _shares(encoding: "Encoding", spec: OutputSpec) -> "Tensor":
    components = _by_image(encoding.components, spec).double()
    original = components[:, :1]
    differences = components[:, 1:] - original
    shift = differences.sum(dim=2)  # images × changes × features
    along = (differences @ shift[..., None])[..., 0]
    return dissection.as_shares(along, shift, original.sum(dim=2))


def _patch_shares(encoding: "Encoding", spec: OutputSpec) -> "Tensor":
    embedding = _embedding(encoding, spec)
    own = embedding - embedding[:, :1]  # of every view along its own shift; the original's is zero
    shift = own[:, 1:]
    before = encoding.some(slice(None, None, spec.views)).tokens_along(shift)
    after = _by_image(encoding.tokens_along(own.flatten(0, 1)[:, None])[..., 0], spec)[:, 1:]
    change = (after.mT - before)[:, encoding.prefix :].mT.double()  # images × changes × patches
    shares = dissection.as_shares(change, shift.double(), embedding[:, :1].double())
    return shares.unflatten(-1, encoding.attention.shape[1:])


def _neuron_shares(encoding: "Encoding", spec: OutputSpec) -> "Tensor":
    return encoding.once(_of_neurons, spec)[0]


def _of_neurons(encoding: "Encoding", spec: OutputSpec) -> tuple["Tensor", "Tensor", "Tensor"]:
    """Return the shares of neurons, their sizes from the largest on, and where the largest are."""
    fired = _by_image(encoding.neurons, spec)  # images × views × layers × neurons
    embedding = _embedding(encoding, spec)
    shift = embedding[:, 1:] - embedding[:, :1]
    along = (fired[:, 1:] - fired[:, :1]) * encoding.neuron_writing(shift)
    sides = (side.double() for side in (shift, embedding[:, :1]))
    shares = dissection.as_shares(along.flatten(2), *sides).float()
    sizes = shares.abs()
    places = sizes.topk(min(LARGEST, sizes.shape[-1])).indices
    return shares.unflatten(-1, fired.shape[2:]), _falling(sizes), places


def _falling(sizes: "Tensor") -> "Tensor":
    """Sort, the largest first. On a processor NumPy is several times as fast as PyTorch."""
    if sizes.device.type != "cpu":
        return sizes.sort(descending=True).values
    return sizes.new_tensor(np.sort(sizes.numpy())).flip(-1)


def _moments(shares: np.ndarray) -> np.ndarray:
    """Return mean and root mean square over images, in units of an even share of a layer.

    Of shape (2, changes, layers, neurons).
    """
    if not len(shares):
        return np.full((2, *shares.shape[1:]), np.nan)
    shares = shares.astype(np.float64) * shares.shape[-1]
    return np.stack([shares.mean(axis=0), np.sqrt(np.square(shares).mean(axis=0))])


def _largest_neurons(encoding: "Encoding", spec: OutputSpec) -> "Tensor":
    return encoding.once(_of_neurons, spec)[2]  # images × changes × largest


def _neurons_for_half(encoding: "Encoding", spec: OutputSpec) -> "Tensor":
    return dissection.fewest_for_half(encoding.once(_of_neurons, spec)[1].double())


def _changes(spec: OutputSpec) -> dict:
    return {"augmentation": spec.changes}


def _each_change(model: "Model", spec: OutputSpec) -> dict:
    return _changes(spec)


def _views_by_patch(model: "Model", spec: OutputSpec) -> dict:
    return {"view": spec.views} | _grid(model)


def _changes_by_patch(model: "Model", spec: OutputSpec) -> dict:
    return _changes(spec) | _grid(model)


def _of_views(model: "Model", spec: OutputSpec) -> dict:
    return {"view": spec.views, "feature": model.features}


def _grid(model: "Model") -> dict:
    return dict(zip(("row", "column"), model.grid, strict=True))


def _of_heads(model: "Model", spec: OutputSpec) -> dict:
    last = list(range(model.layers))[-spec.layers :]
    return {"layer": last, "head": list(range(model.heads)), "feature": model.features}


def _of_parts(model: "Model", spec: OutputSpec) -> dict:
    return {"part": part_labels(model.layers, model.rest_labels), "feature": model.features}


def _moments_of_neurons(model: "Model", spec: OutputSpec) -> dict:
    moments = {"moment": ["mean", "root mean square"]}
    layers = {"depth": model.layers, "neuron": model.neurons}
    return moments | _changes(spec) | layers


def _largest(model: "Model", spec: OutputSpec) -> dict:
    return _changes(spec) | {"largest": min(LARGEST, model.layers * model.neurons)}


def _of_components(model: "Model", spec: OutputSpec) -> dict:
    labels = dissection.component_labels(model.layers, model.heads, model.rest_labels)
    return _changes(spec) | {"component": labels}


OUTPUTS = (
    # name, needs, axes, values
    Output("embedding", "", _of_views, _embedding),
    Output("attention", "attention", _views_by_patch, _attention),
    Output("heads", "account", _of_heads, _heads, "float16"),
    Output("parts", "account", _of_parts, _parts),
    Output("shares", "account", _of_components, _shares),
    Output("patch_shares", "account", _changes_by_patch, _patch_shares, by_token=True),
    Output(
        "neuron_moments",
        "neurons",
        _moments_of_neurons,
        _neuron_shares,
        "float16",
        neurons=True,
        pooled=_moments,
    ),
    Output("largest_neurons", "neurons", _largest, _largest_neurons, "uint32", neurons=True),
    Output("neurons_for_half", "neurons", _each_change, _neurons_for_half, "uint32", neurons=True),
)
