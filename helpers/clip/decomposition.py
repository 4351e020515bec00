"""The exact account of an image embedding: which head, MLP and bias added which part of it.

Each token p that a vision transformer ends with is a sum,

    x_p = x0_p + sum over layers l of (sum over heads h of a[l, h, p] + b[l] + m[l, p])

where x0_p is the token that enters the first block, a[l, h, p] what head h of layer l adds, b[l]
the bias of that layer's output projection and m[l, p] what its MLP adds. An embedding is a norm, a
pooling (the class token alone, a mean, or attention) and a projection of these tokens. For a given
image the norms' standard deviations and the pooling's weights are numbers, and with those known
the embedding is linear in the tokens (`helpers.clip.towers.pooling`): every component adds its part
of it, the biases add a constant, and a pool's own MLP is one component more. What a head adds is in
turn a sum over the tokens that it reads.

For a class token x: the embedding is the layer norm of x times the projection P, and a component c
adds c M / std(x), with M = C diag(gain) P and C subtracting the mean.

Source: Gandelsman, Efros and Steinhardt, ICLR 2024 (arXiv 2310.05916), section 3; the other
poolings are ours.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch

from helpers.checks import WorkbookError
from helpers.clip.forward import Parts
from helpers.clip.towers import Tower
from helpers.clip.towers.norms import Norm


class Readout:
    """The weights that turn what was added to tokens into parts of the embedding."""

    def __init__(self, tower: Tower):
        self.pool, self.grid, self.prefix = tower.pool, tower.grid, tower.prefix
        # pool heads × width × inner, and (pool heads · inner) × features where there is more
        self.inputs, self.outputs = tower.pool.linear()
        self.after = tower.pool.after()
        self.constants = torch.stack(tower.pool.constants())  # 2 × features
        linear = [block.linear() for block in tower.blocks]
        self.biases = torch.stack(
            [torch.stack(biases) for _, *biases in linear]
        )  # layers × 2 × width
        written = torch.stack([matrix.unflatten(0, (tower.heads, -1)) for matrix, *_ in linear])
        # layers × heads × pool heads × head width × inner: what a head writes, through its output
        self.head_matrices = written[:, :, None] @ self.inputs
        self.mlps = [block.mlp for block in tower.blocks]
        self._blocks = tower.blocks

    def head_weights(self, layer: int) -> torch.Tensor:
        """Return what a layer's heads make of a token, heads × rows × features, up to a rotation.

        A head's rows have the right singular vectors, and values, of its value matrix after the
        norm's scale times its output matrix through the final norm's scale and the projection.
        """
        block, matrices = self._blocks[layer], self.head_matrices[layer]
        norm, heads = Norm.of(block.enter), len(matrices)
        value = block.attention.weight[-len(block.attention.weight) // 3 :].T
        value = norm.before(value) if norm else value
        reading = value.unflatten(1, (heads, -1)).transpose(0, 1)  # heads × width × head width
        inner = torch.linalg.qr(reading).R[:, None] @ matrices  # heads × pool heads × … × inner
        if self.outputs is not None:
            inner = inner @ self.outputs.unflatten(0, (inner.shape[1], -1))
        return inner.flatten(1, 2)

    def neurons(self, directions: torch.Tensor) -> torch.Tensor:
        """Return how far every neuron writes along directions of the embedding.

        Directions, … × features → … × layers × neurons.
        """
        toward = directions @ self.inputs[0].T  # … × width
        return torch.stack([mlp.back(toward) for mlp in self.mlps], dim=-2)

    def out(self, inner: torch.Tensor) -> torch.Tensor:
        """Bring the pool heads' own width to the embedding.

        Inner, … × pool heads × inner → … × features.
        """
        return inner[..., 0, :] if self.outputs is None else inner.flatten(-2) @ self.outputs

    def back(self, directions: torch.Tensor) -> torch.Tensor:
        """Bring directions of the embedding to the pool heads' own width.

        Of shape … × pool heads × inner.
        """
        if self.outputs is None:
            return directions[..., None, :]
        return (directions @ self.outputs.T).unflatten(-1, (len(self.inputs), -1))


class Encoding:
    """What one forward pass says about n images, float32.

    Parameters
    ----------
    parts : Parts
    readout : Readout
    tensors : bool
        Whether to give tensors where the model runs, instead of NumPy arrays.

    Attributes
    ----------
    embedding : ndarray, n × features
        The projected image feature, not normalised.
    """

    def __init__(self, parts: Parts, readout: Readout, *, tensors: bool = False):
        self._tensors, self._given = tensors, torch.Tensor.float if tensors else _numpy
        self.embedding = self._given(parts.embedding)
        self._parts, self._readout = parts, readout
        self._known: dict = {}

    def once(self, function: Callable[..., object], *given: object) -> object:
        """Return what a function makes of this encoding, computed when it is first asked for."""
        if (function, *given) not in self._known:
            self._known[function, *given] = function(self, *given)
        return self._known[function, *given]

    def some(self, images: slice) -> "Encoding":
        """Return the encoding of some of the images."""
        return Encoding(self._parts.some(images), self._readout, tensors=self._tensors)

    @property
    def attention(self) -> np.ndarray:
        """How much is read of each patch at the end, n × rows × columns, unscaled.

        The last layer's attention from the class token, mean over heads; where a tower pools by
        attention, that attention, mean over its heads; where it pools by a mean, the last layer's
        attention from all tokens, mean over heads and tokens.
        """
        return self._given(self._parts.attention.unflatten(1, self._readout.grid))

    @cached_property
    def attention_of_heads(self) -> np.ndarray:
        """How much every head reads of each patch, n × layers × heads × rows × columns.

        Attention from the class token, in every layer; where a tower pools several tokens, from all
        of them, weighted as the pool reads them. With class and register tokens it sums to 1.
        """
        weights = self._kept("token_weights").sum(3)  # n × layers × heads × tokens
        attention = weights / weights.sum(-1, keepdim=True)
        return self._given(attention[..., self.prefix :].unflatten(-1, self._readout.grid))

    @property
    def prefix(self) -> int:
        """How many class and register tokens come before the patches in `tokens`."""
        return self._readout.prefix

    @cached_property
    def heads(self) -> np.ndarray:
        """Contribution of every head to the embedding, n × layers × heads × features."""
        matrices = self._readout.head_matrices
        inner = torch.einsum("nlhgk,lhgkr->nlhgr", self._parts.heads, matrices)
        return self._given(self._readout.out(inner))

    @cached_property
    def mlps(self) -> np.ndarray:
        """Contribution of every layer's MLP to the embedding, n × layers × features."""
        return self._given(self._through(self._parts.mlps))

    @cached_property
    def neurons(self) -> np.ndarray:
        """How strongly every neuron fires, n × layers × neurons.

        Activations, weighted as the pool reads the tokens and divided by the final norm's
        deviation: times `neuron_writing`, what a neuron adds along a direction. A layer's neurons
        sum to its MLP, but for the bias of the MLP's output.

        Raises
        ------
        WorkbookError
            If the images were encoded without `neurons`.
        """
        kept = self._parts.neurons
        if kept is None:
            raise WorkbookError("Activations of neurons were not kept; encode with neurons=True.")
        return self._given(kept)

    def neuron_writing(self, directions: np.ndarray) -> np.ndarray:
        """Return how far neurons write along directions, however strongly they fire.

        Of shape … × layers × neurons.
        """
        like = torch.as_tensor(self.embedding)
        return self._given(self._readout.neurons(torch.as_tensor(directions).to(like)))

    @cached_property
    def rest(self) -> np.ndarray:
        """What else completes the sum, n × rows × features; `rest_labels` names the rows.

        What enters the first block, the bias of each layer's attention output, the pool's MLP
        where there is one, and the constant that the biases of norms and pool add.
        """
        start = self._through(self._parts.start)[:, None]
        biases = torch.einsum("nlig,liw->nlgw", self._parts.biases, self._readout.biases)
        rows = [start, self._through(biases), *self._pool_mlp(), self._constant()]
        return self._given(torch.cat(rows, dim=1))

    @property
    def rest_labels(self) -> list[str]:
        """Names of the rows of `rest`."""
        return rest_labels(self._parts.mlps.shape[1], self._parts.pool_mlp is not None)

    @property
    def components(self) -> np.ndarray:
        """All that the embedding is the sum of, n × components × features.

        Heads, MLPs and the rest, as `helpers.analysis.dissection.component_labels` names them.
        """
        parts = map(torch.as_tensor, (self.heads, self.mlps, self.rest))
        return self._given(torch.cat([part.flatten(1, -2) for part in parts], dim=1))

    @cached_property
    def tokens(self) -> np.ndarray:
        """What heads read from every token, summed over layers and heads, n × tokens × features.

        Class and register tokens come first (`prefix`), then the patches row by row. The sum over
        tokens is that of `heads` over layers and heads.
        """
        weights, values = self._kept("token_weights"), self._kept("values")
        matrices = self._readout.head_matrices
        inner = [
            (weights[:, :, :, g, :, None] * values).movedim(3, 1).flatten(2)
            @ matrices[:, :, g].flatten(0, 2)
            for g in range(matrices.shape[2])
        ]
        return self._given(self._readout.out(torch.stack(inner, dim=2)))

    def tokens_along(self, directions: np.ndarray) -> np.ndarray:
        """Return what heads read from every token, along directions of each image's own.

        Of shape n × tokens × m.

        The same as `tokens` times the directions, without making `tokens`.
        """
        self._check_directions(directions, 3)
        weights, values = self._kept("token_weights"), self._kept("values")
        back = self._readout.back(torch.as_tensor(directions).to(values))  # n × m × g × inner
        # n × layers × heads × pool heads × head width × m
        through = torch.einsum("lhgkr,nmgr->nlhgkm", self._readout.head_matrices, back)
        total = 0
        for g in range(weights.shape[3]):
            read = values @ through[:, :, :, g]  # n × layers × heads × tokens × m
            total = total + torch.einsum("nlht,nlhtm->ntm", weights[:, :, :, g], read)
        return self._given(total)

    def tokens_of_heads(self, directions: np.ndarray | None = None) -> np.ndarray:
        """Return what every head reads from every token: n × layers × heads × tokens × m."""
        weights, values = self._kept("token_weights"), self._kept("values")
        features = self.embedding.shape[1]
        if directions is None:
            directions = np.eye(features, dtype=np.float32)
        self._check_directions(directions, 2)
        back = self._readout.back(torch.as_tensor(directions).to(values))  # m × g × inner
        through = torch.einsum("lhgkr,mgr->lhgkm", self._readout.head_matrices, back)
        total = 0
        for g in range(weights.shape[3]):
            total = total + weights[:, :, :, g, :, None] * (values @ through[:, :, g])
        return self._given(total)

    @cached_property
    def depths(self) -> np.ndarray:
        """The tokens read out early, n × (layers + 1) × features.

        Before the first block and after every block, through the tower's own norm, pool and
        projection; the last is the embedding.
        """
        with torch.inference_mode():
            return self._given(self._readout.pool.finish(self._parts.stream)[0])

    def total(self) -> np.ndarray:
        """Return the sum of all contributions, n × features: equal to `embedding`.

        The relative difference is at most 1e-5 in float32; in bfloat16 the forward pass itself
        rounds to three digits, and so does this equality.
        """
        return self.heads.sum((1, 2)) + self.mlps.sum(1) + self.rest.sum(1)

    def _through(self, tokens: torch.Tensor) -> torch.Tensor:
        """Bring what was added to the pooled tokens, … × pool heads × width, to the embedding."""
        inner = torch.einsum("...gw,gwr->...gr", tokens, self._readout.inputs)
        return self._readout.out(inner)

    def _pool_mlp(self) -> list[torch.Tensor]:
        if self._parts.pool_mlp is None:
            return []
        return [self._divided(self._parts.pool_mlp @ self._readout.after)[:, None]]

    def _constant(self) -> torch.Tensor:
        divided, plain = self._readout.constants
        rows = divided.expand(len(self.embedding), -1)
        return (self._divided(rows) + plain)[:, None]

    def _divided(self, rows: torch.Tensor) -> torch.Tensor:
        inverse = self._parts.inverse
        return rows if inverse is None else rows * inverse[:, None]

    def _kept(self, name: str) -> torch.Tensor:
        kept = getattr(self._parts, name)
        if kept is None:
            raise WorkbookError(
                "What heads read from each token was not kept; encode with by_token=True."
            )
        return kept

    def _check_directions(self, directions: np.ndarray, axes: int) -> None:
        features = self.embedding.shape[1]
        if np.ndim(directions) != axes or np.shape(directions)[-1] != features:
            expected = ", ".join(["images"] * (axes - 2) + ["directions", str(features)])
            raise WorkbookError(
                f"Directions of shape {np.shape(directions)} don't fit an embedding of {features}"
                f" features; give an array of shape ({expected})."
            )


class EmbeddingAlone(Encoding):
    """An embedding that can't be taken apart: asking for its parts says why."""

    def __init__(self, embedding: torch.Tensor, reason: str, *, tensors: bool = False):
        self._given = torch.Tensor.float if tensors else _numpy
        self.embedding, self._reason = self._given(embedding), reason

    @property
    def _parts(self) -> Parts:
        raise WorkbookError(self._reason)

    @property
    def _readout(self) -> Readout:
        raise WorkbookError(self._reason)


def rest_labels(layers: int, pool_mlp: bool) -> list[str]:
    """Name the rows of `Encoding.rest`."""
    biases = [f"L{layer}.bias" for layer in range(layers)]
    return ["class token", *biases, *(["pool"] if pool_mlp else []), "constant"]


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
