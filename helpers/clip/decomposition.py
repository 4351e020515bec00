"""The exact account of an image embedding: which head, MLP and bias added which part of it.

With x the class token before `ln_post`, a pre-norm transformer computes

    x = x0 + sum over layers l of (sum over heads h of a[l, h] + b[l] + m[l])

where x0 is the class token that enters the first block, a[l, h] what head h of layer l adds, b[l]
the bias of that layer's output projection and m[l] what its MLP adds. The embedding is the layer
norm of x times the projection P. For a given image the layer norm's standard deviation is a number,
and with that number known the embedding is linear in x: a component c adds c M / std(x), where
M = C diag(gain) P and C subtracts the mean, and the norm's own bias adds a constant. What a head
adds is in turn a sum over the tokens that it reads.

Source: Gandelsman, Efros and Steinhardt, ICLR 2024 (arXiv 2310.05916), section 3.
"""

from functools import cached_property

import numpy as np
import torch
from open_clip.transformer import LayerScale, VisionTransformer

from helpers.checks import WorkbookError
from helpers.clip.forward import ClassToken


class Readout:
    """The weights that turn what was added to a class token into parts of the embedding.

    Parameters
    ----------
    visual : VisionTransformer
        open_clip's vision tower; see `helpers.clip.forward.check_supported`.
    """

    def __init__(self, visual: VisionTransformer):
        norm, blocks = visual.ln_post, visual.transformer.resblocks
        self.epsilon = norm.eps
        gained = norm.weight[:, None] * visual.proj
        self.matrix = gained - gained.mean(dim=0)  # width × features: C diag(gain) P
        self.constant = norm.bias @ visual.proj  # features
        scales = torch.stack([_layer_scale(block.ls_1, norm.weight) for block in blocks])
        weights = torch.stack([block.attn.out_proj.weight for block in blocks]) * scales[..., None]
        self.biases = torch.stack([block.attn.out_proj.bias for block in blocks]) * scales
        heads = blocks[0].attn.num_heads
        # layers × heads × head width × features: from what a head writes to its contribution
        self.head_matrices = weights.transpose(1, 2).unflatten(1, (heads, -1)) @ self.matrix


class Encoding:
    """What one forward pass says about n images; NumPy arrays, float32.

    Attributes
    ----------
    embedding : ndarray, n × features
        The projected image feature, not normalised.
    attention : ndarray, n × rows × columns
        The last layer's attention from the class token to each patch, mean over heads, unscaled.
    """

    def __init__(
        self, embedding: torch.Tensor, token: ClassToken, readout: Readout, grid: tuple[int, int]
    ):
        self.embedding = _numpy(embedding)
        self.attention = _numpy(token.attention[:, :, 1:].mean(1).unflatten(1, grid))
        self._token, self._readout = token, readout

    @property
    def head_outputs(self) -> torch.Tensor:
        """What each head wrote to the class token before its output projection.

        n × layers × heads × head width; `helpers.clip.Model.encode_restored` takes it.
        """
        return self._token.head_outputs

    @cached_property
    def heads(self) -> np.ndarray:
        """Contribution of every head to the embedding, n × layers × heads × features."""
        outputs, matrices = self._token.head_outputs, self._readout.head_matrices
        return _numpy(torch.einsum("nlhk,lhkd,n->nlhd", outputs, matrices, self._scale))

    @cached_property
    def mlps(self) -> np.ndarray:
        """Contribution of every layer's MLP to the embedding, n × layers × features."""
        return _numpy(self._token.mlps @ self._readout.matrix * self._scale[:, None, None])

    @cached_property
    def rest(self) -> np.ndarray:
        """What else completes the sum, n × (layers + 2) × features; `rest_labels` names the rows.

        The class token that enters the first block, the bias of each layer's attention output, and
        the constant that the bias of `ln_post` adds.
        """
        start = self._token.stream[:, :1]
        biases = self._readout.biases.expand(len(start), -1, -1)
        parts = torch.cat([start, biases], dim=1) @ self._readout.matrix
        constant = self._readout.constant.expand(len(parts), 1, -1)
        return _numpy(torch.cat([parts * self._scale[:, None, None], constant], dim=1))

    @property
    def rest_labels(self) -> list[str]:
        """Names of the rows of `rest`."""
        layers = range(self._token.mlps.shape[1])
        return ["class token", *(f"L{layer}.bias" for layer in layers), "constant"]

    @cached_property
    def tokens(self) -> np.ndarray:
        """What heads read from every token, summed over layers and heads, n × tokens × features.

        The class token comes first, then the patches row by row. The sum over tokens is that of
        `heads` over layers and heads.

        Raises
        ------
        WorkbookError
            If the images were encoded without `by_token`.
        """
        outputs = self._token_outputs.movedim(3, 1).flatten(2)  # n × tokens × (l h k)
        parts = outputs @ self._readout.head_matrices.flatten(0, 2)
        return _numpy(parts * self._scale[:, None, None])

    def tokens_of_heads(self, directions: np.ndarray | None = None) -> np.ndarray:
        """Return what every head reads from every token.

        Parameters
        ----------
        directions : ndarray, m × features, optional
            What to project on, such as the embeddings of m texts; by default the embedding's own
            axes, which takes much memory for a large model.

        Returns
        -------
        ndarray, n × layers × heads × tokens × m
            Inner products; the class token comes first, then the patches row by row.

        Raises
        ------
        WorkbookError
            If the images were encoded without `by_token`, or directions have another length.
        """
        matrices = self._readout.head_matrices  # layers × heads × head width × features
        if directions is not None:
            _check_directions(directions, matrices.shape[-1])
            matrices = matrices @ torch.as_tensor(directions).to(matrices).T
        parts = torch.einsum("nlhtk,lhkm->nlhtm", self._token_outputs, matrices)
        return _numpy(parts * self._scale.view(-1, 1, 1, 1, 1))

    def tokens_along(self, directions: np.ndarray) -> np.ndarray:
        """Project what heads read from every token, summed over layers and heads.

        Equal to `tokens` times the directions, whose tokens × features are never formed.

        Parameters
        ----------
        directions : ndarray, n × m × features
            m directions for each image.

        Returns
        -------
        ndarray, n × tokens × m
            Inner products; the class token comes first, then the patches row by row.

        Raises
        ------
        WorkbookError
            If the images were encoded without `by_token`.
        """
        matrices = self._readout.head_matrices
        directions = torch.as_tensor(directions).to(matrices)
        by_head = torch.einsum("lhkd,nmd->nlhkm", matrices, directions)
        along = (self._token_outputs @ by_head).sum(dim=(1, 2))
        return _numpy(along * self._scale[:, None, None])

    @cached_property
    def depths(self) -> np.ndarray:
        """The class token read out early, n × (layers + 1) × features.

        Before the first block and after every block, through `ln_post` and the projection; the
        last is the embedding.
        """
        stream = self._token.stream
        scale = self._inverse_deviation(stream)[..., None]
        return _numpy(stream @ self._readout.matrix * scale + self._readout.constant)

    def total(self) -> np.ndarray:
        """Return the sum of all contributions, n × features: equal to `embedding`.

        The relative difference is at most 1e-5 in float32; in bfloat16 the forward pass itself
        rounds to three digits, and so does this equality.
        """
        return self.heads.sum((1, 2)) + self.mlps.sum(1) + self.rest.sum(1)

    @cached_property
    def _scale(self) -> torch.Tensor:
        return self._inverse_deviation(self._token.stream[:, -1])

    def _inverse_deviation(self, x: torch.Tensor) -> torch.Tensor:
        return (x.var(dim=-1, unbiased=False) + self._readout.epsilon).rsqrt()

    @property
    def _token_outputs(self) -> torch.Tensor:
        if self._token.token_outputs is None:
            raise WorkbookError(
                "What heads read from each token was not kept; encode with by_token=True."
            )
        return self._token.token_outputs


def _check_directions(directions: np.ndarray, features: int) -> None:
    if np.ndim(directions) != 2 or np.shape(directions)[1] != features:
        raise WorkbookError(
            f"Directions of shape {np.shape(directions)} don't fit an embedding of {features}"
            f" features; give an array of shape (directions, {features})."
        )


def _layer_scale(scale: torch.nn.Module, like: torch.Tensor) -> torch.Tensor:
    return scale.gamma if isinstance(scale, LayerScale) else torch.ones_like(like)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
