"""One forward pass through open_clip's vision transformer that keeps what reaches the class token.

The modules and weights are open_clip's own; only the loop over the blocks is written out, so that
each part of a block can be kept, and a head's output can be put back to that of another pass.
"""

from dataclasses import dataclass

import torch
from open_clip.transformer import VisionTransformer
from torch.nn import functional as F

from helpers.checks import WorkbookError


@dataclass(frozen=True)
class ClassToken:
    """Everything that a vision transformer added to its class token, for n images.

    Attributes
    ----------
    stream : Tensor, n × (layers + 1) × width
        The class token before the first block and after every block: the sum of all that was added
        up to there. `ln_post` reads the last.
    head_outputs : Tensor, n × layers × heads × head width
        Each head's attention-weighted mean of its values, before the output projection.
    mlps : Tensor, n × layers × width
        What each MLP added.
    attention : Tensor, n × heads × tokens
        The last layer's attention, from the class token to every token.
    token_outputs : Tensor or None, n × layers × heads × tokens × head width
        The summands of `head_outputs`, token by token, where they were asked for.
    """

    stream: torch.Tensor
    head_outputs: torch.Tensor
    mlps: torch.Tensor
    attention: torch.Tensor
    token_outputs: torch.Tensor | None


@dataclass(frozen=True)
class Restored:
    """Heads whose output at the class token is put back to that of another forward pass.

    Attributes
    ----------
    heads : Tensor of bool, n × layers × heads
        Which heads, image by image.
    outputs : Tensor, n × layers × heads × head width
        The `ClassToken.head_outputs` of the other pass.
    """

    heads: torch.Tensor
    outputs: torch.Tensor


@dataclass(frozen=True)
class _Block:
    """What a block adds to the class token."""

    head_outputs: torch.Tensor  # n × heads × head width
    mlp: torch.Tensor  # n × width
    attention: torch.Tensor | None  # n × heads × tokens
    token_outputs: torch.Tensor | None  # n × heads × tokens × head width


def forward(
    visual: VisionTransformer,
    pixels: torch.Tensor,
    *,
    by_token: bool = False,
    restored: Restored | None = None,
) -> tuple[torch.Tensor, ClassToken]:
    """Run open_clip's vision tower once, keeping what each part adds to the class token.

    Parameters
    ----------
    visual : VisionTransformer
        open_clip's vision tower; its own modules and weights do the work.
    pixels : Tensor, n × 3 × height × width
        Normalised images.
    by_token : bool
        Whether to keep what each head reads from each token.
    restored : Restored, optional
        Heads to put back; whatever comes after them responds.

    Returns
    -------
    embedding : Tensor, n × features
    token : ClassToken
    """
    x = visual._embeds(pixels)  # n × tokens × width
    stream, added = [x[:, 0]], []
    last = len(visual.transformer.resblocks) - 1
    for layer, block in enumerate(visual.transformer.resblocks):
        put_back = restored and (restored.heads[:, layer], restored.outputs[:, layer])
        x, parts = _block(block, x, layer == last, by_token, put_back)
        stream.append(x[:, 0])
        added.append(parts)
    embedding = visual.ln_post(x[:, 0]) @ visual.proj
    return embedding.float(), _class_token(stream, added, by_token)


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
    elif _has_other_attention(visual):
        problem = "its attention blocks are not the plain ones"
    else:
        return
    raise WorkbookError(
        f"{name} can't be taken apart here: {problem}. Choose a vision transformer with a class"
        " token, such as ViT-B-32; `workbook models` lists them."
    )


def _has_other_attention(visual: VisionTransformer) -> bool:
    blocks = visual.transformer.resblocks
    return any(type(block.attn) is not torch.nn.MultiheadAttention for block in blocks)


def _block(
    block: torch.nn.Module,
    x: torch.Tensor,
    is_last: bool,
    by_token: bool,
    put_back: tuple[torch.Tensor, torch.Tensor] | None,
) -> tuple[torch.Tensor, _Block]:
    query, key, value = _project(block.attn, block.ln_1(x)).chunk(3, dim=1)
    if is_last:  # only the class token is read after it, so nothing else is computed there
        query, x = query[:, :, :1], x[:, :1]
    mixed = F.scaled_dot_product_attention(query, key, value)  # n × heads × queries × head width
    if put_back:
        heads, outputs = put_back
        mixed[:, :, 0] = torch.where(heads[..., None], outputs.to(mixed.dtype), mixed[:, :, 0])
    attention = _class_attention(query, key) if is_last or by_token else None
    token_outputs = attention[..., None] * value if by_token else None
    x = x + block.ls_1(block.attn.out_proj(mixed.transpose(1, 2).flatten(2)))
    mlp = block.ls_2(block.mlp(block.ln_2(x)))
    return x + mlp, _Block(mixed[:, :, 0], mlp[:, 0], attention, token_outputs)


def _project(attn: torch.nn.MultiheadAttention, x: torch.Tensor) -> torch.Tensor:
    # n × (query, key and value of every head) × tokens × head width
    projected = F.linear(x, attn.in_proj_weight, attn.in_proj_bias)
    return projected.unflatten(-1, (3 * attn.num_heads, -1)).transpose(1, 2)


def _class_attention(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    scores = query[:, :, :1] @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    return scores.softmax(dim=-1)[:, :, 0]  # n × heads × tokens


def _class_token(stream: list[torch.Tensor], added: list[_Block], by_token: bool) -> ClassToken:
    tokens = torch.stack([part.token_outputs for part in added], dim=1) if by_token else None
    return ClassToken(
        stream=torch.stack(stream, dim=1).float(),
        head_outputs=torch.stack([part.head_outputs for part in added], dim=1).float(),
        mlps=torch.stack([part.mlp for part in added], dim=1).float(),
        attention=added[-1].attention.float(),
        token_outputs=tokens if tokens is None else tokens.float(),
    )
