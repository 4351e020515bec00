"""The exact account of an image embedding: which head, MLP and bias added which part of it.

With x the class token before `ln_post`, a pre-norm transformer computes

    x = x0 + sum over layers l of (sum over heads h of a[l, h] + b[l] + m[l])

where x0 is the class token that enters the first block, a[l, h] what head h of layer l adds, b[l]
the bias of that layer's output projection and m[l] what its MLP adds. The embedding is the layer
norm of x times the projection P. For a given image the layer norm's standard deviation is a number,
and with that number known the embedding is linear in x: a component c adds c M / std(x), where
M = C diag(gain) P and C subtracts the mean, and the norm's own bias adds a constant.

Source: Gandelsman, Efros and Steinhardt, ICLR 2024 (arXiv 2310.05916), section 3.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from open_clip.transformer import LayerScale, VisionTransformer
from torch.nn import functional as F

from helpers.checks import WorkbookError


@dataclass(frozen=True)
class ClassToken:
    """Everything that a vision transformer added to its class token, for n images.

    Attributes
    ----------
    start : Tensor, n × width
        The class token that enters the first block.
    head_outputs : Tensor, n × layers × heads × head width
        Each head's attention-weighted mean of its values, before the output projection.
    mlps : Tensor, n × layers × width
        What each MLP added.
    end : Tensor, n × width
        The class token that `ln_post` reads: the sum of all that was added.
    attention : Tensor, n × heads × tokens
        The last layer's attention, from the class token to every token.
    """

    start: torch.Tensor
    head_outputs: torch.Tensor
    mlps: torch.Tensor
    end: torch.Tensor
    attention: torch.Tensor


class Readout:
    """The weights that turn what was added to a class token into parts of the embedding.

    Parameters
    ----------
    visual : VisionTransformer
        open_clip's vision tower; see `check_supported`.
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

    @cached_property
    def _scale(self) -> torch.Tensor:
        variance = self._token.end.var(dim=-1, unbiased=False)
        return (variance + self._readout.epsilon).rsqrt()

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
        biases = self._readout.biases.expand(len(self._token.start), -1, -1)
        added = torch.cat([self._token.start[:, None], biases], dim=1)
        parts = added @ self._readout.matrix * self._scale[:, None, None]
        constant = self._readout.constant.expand(len(parts), 1, -1)
        return _numpy(torch.cat([parts, constant], dim=1))

    @property
    def rest_labels(self) -> list[str]:
        """Names of the rows of `rest`."""
        layers = range(self._token.mlps.shape[1])
        return ["class token", *(f"L{layer}.bias" for layer in layers), "constant"]

    def total(self) -> np.ndarray:
        """Return the sum of all contributions, n × features: equal to `embedding`.

        The relative difference is at most 1e-5 in float32; in bfloat16 the forward pass itself
        rounds to three digits, and so does this equality.
        """
        return self.heads.sum((1, 2)) + self.mlps.sum(1) + self.rest.sum(1)


def forward(visual: VisionTransformer, pixels: torch.Tensor) -> tuple[torch.Tensor, ClassToken]:
    """Run open_clip's vision tower once, keeping what each part adds to the class token.

    Parameters
    ----------
    visual : VisionTransformer
        open_clip's vision tower; its own modules and weights do the work.
    pixels : Tensor, n × 3 × height × width
        Normalised images.

    Returns
    -------
    embedding : Tensor, n × features
    token : ClassToken
    """
    x = visual._embeds(pixels)  # n × tokens × width
    start, outputs, mlps = x[:, 0], [], []
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x, output, mlp = _block(block, x)
        outputs.append(output)
        mlps.append(mlp)
    x, output, mlp, attention = _last_block(last, x)
    token = ClassToken(
        start=start.float(),
        head_outputs=torch.stack([*outputs, output], dim=1).float(),
        mlps=torch.stack([*mlps, mlp], dim=1).float(),
        end=x.float(),
        attention=attention.float(),
    )
    return (visual.ln_post(x) @ visual.proj).float(), token


def check_supported(visual: torch.nn.Module, name: str) -> None:
    """Refuse a vision tower whose embedding is not the class token read out by `ln_post`.

    Parameters
    ----------
    visual : Module
        The vision tower of an open_clip model.
    name : str
        The name that the user gave.

    Raises
    ------
    WorkbookError
        For a ResNet or another library's tower, a model that pools patches instead of reading a
        class token, or blocks with normalisation inside the attention.
    """
    if not isinstance(visual, VisionTransformer):
        problem = f"its vision tower is a {type(visual).__name__}"
    elif visual.attn_pool is not None or visual.pool_type != "tok":
        problem = "it pools its patches instead of reading a class token"
    elif any(type(block.attn) is not torch.nn.MultiheadAttention for block in _blocks(visual)):
        problem = "its attention blocks are not the plain ones"
    else:
        return
    raise WorkbookError(
        f"{name} can't be taken apart here: {problem}. Choose a vision transformer with a class"
        " token, such as ViT-B-32; `workbook models` lists them."
    )


def _blocks(visual: VisionTransformer) -> Iterable[torch.nn.Module]:
    return visual.transformer.resblocks


def _block(block: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    query, key, value = _project(block.attn, block.ln_1(x)).chunk(3, dim=1)
    mixed = F.scaled_dot_product_attention(query, key, value)  # n × heads × tokens × head width
    x = x + block.ls_1(block.attn.out_proj(mixed.transpose(1, 2).flatten(2)))
    mlp = block.ls_2(block.mlp(block.ln_2(x)))
    return x + mlp, mixed[:, :, 0], mlp[:, 0]


def _last_block(block: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    # Only the class token is read after the last block, so nothing else is computed there.
    query, key, value = _project(block.attn, block.ln_1(x)).chunk(3, dim=1)
    scores = query[:, :, :1] @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    attention = scores.softmax(dim=-1)  # n × heads × 1 × tokens
    output = (attention @ value)[:, :, 0]  # n × heads × head width
    x = x[:, 0] + block.ls_1(block.attn.out_proj(output.flatten(1)))
    mlp = block.ls_2(block.mlp(block.ln_2(x)))
    return x + mlp, output, mlp, attention[:, :, 0]


def _project(attn: torch.nn.MultiheadAttention, x: torch.Tensor) -> torch.Tensor:
    # n × (query, key and value of every head) × tokens × head width
    projected = F.linear(x, attn.in_proj_weight, attn.in_proj_bias)
    return projected.unflatten(-1, (3 * attn.num_heads, -1)).transpose(1, 2)


def _layer_scale(scale: torch.nn.Module, like: torch.Tensor) -> torch.Tensor:
    return scale.gamma if isinstance(scale, LayerScale) else torch.ones_like(like)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
