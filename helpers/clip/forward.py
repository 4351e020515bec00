"""One forward pass that keeps what every part of a vision tower adds to the embedding.

The modules and weights are the libraries' own; only the loop over the blocks is written out, so
that each part of a block can be kept, and exchanged for that of another pass.
What is kept of a token is only its weighted sum over the tokens that the pool reads: a few numbers
per head instead of one vector per token.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from helpers.clip.towers import Tower
from helpers.clip.towers.blocks import Block

if TYPE_CHECKING:
    from helpers.clip.interventions import Patch

KEPT_AT_ONCE = 2**30
"""Bytes that a pass may keep until the weights of its pool are known."""

WRITTEN_AT_ONCE = 2**25
"""Bytes that a layer may write on a processor: the C library returns a larger tensor to the system
and gets the next one page by page, which took a sixth of the time of 30 images in a ViT-B/16."""


@dataclass(frozen=True)
class Parts:
    """Everything that a vision transformer added to its tokens, pooled, for n images.

    Weighted sums run over the tokens that the pool reads, with the weights `w_gp` of
    `helpers.clip.towers.pooling`, one sum for each of the pool's heads: one for a class token.
    """

    embedding: torch.Tensor  # n × features
    # n × patches: how much is read of each patch at the end: by the class token in the last layer,
    # by the pool's own attention, or by the mean of all tokens in the last layer
    attention: torch.Tensor
    # n × (layers + 1) × pool heads × width: the tokens before the first block and after every
    # block, as the pool reads them
    stream: torch.Tensor
    # n × pool heads × width: weighted sum of the tokens that enter the first block
    start: torch.Tensor
    # n × layers × heads × pool heads × head width: weighted sum of each head's outputs, divided by
    # the deviations of norms that follow
    heads: torch.Tensor
    mlps: torch.Tensor  # n × layers × pool heads × width
    # n × layers × 2 × pool heads: weights of the two parts of the biases of the attention's output;
    # see `Block.linear`
    biases: torch.Tensor
    pool_mlp: torch.Tensor | None  # n × pooled width
    inverse: torch.Tensor | None  # 1 / deviation of the norm after the pool
    # n × layers × heads × pool heads × tokens: how much of each token reaches the pool through a
    # head
    token_weights: torch.Tensor | None
    values: torch.Tensor | None  # n × layers × heads × tokens × head width
    neurons: torch.Tensor | None  # n × layers × neurons: weighted sum of each neuron's activations

    def some(self, images: slice) -> "Parts":
        """Return the parts of some of the images."""
        kept = {field.name: getattr(self, field.name) for field in fields(Parts)}
        return Parts(
            **{name: None if each is None else each[images] for name, each in kept.items()}
        )


@dataclass(frozen=True)
class BlockParts:
    """What a block leaves until the weights of the pool are known; T are the tokens read."""

    outputs: torch.Tensor  # n × T × (heads · head width)
    mlp: torch.Tensor  # n × T × width
    inner: torch.Tensor | None  # n × T
    leave: torch.Tensor | None  # n × T
    hidden: torch.Tensor | None  # n × T × neurons, or n × 1 × neurons where all T weigh the same
    query: torch.Tensor | None = None  # n × heads × T × head width
    key: torch.Tensor | None = None  # n × heads × tokens × head width
    mixing: torch.Tensor | None = None  # n × heads × T × tokens: attention, in place of the two
    value: torch.Tensor | None = None  # n × heads × tokens × head width


def forward(
    tower: Tower,
    pixels: torch.Tensor,
    *,
    by_token: bool = False,
    neurons: bool = False,
) -> Parts:
    """Run a vision tower once, keeping what each part adds to the embedding."""
    x, places = tower.start(pixels)  # n × tokens × width
    reads = range(x.shape[1])[tower.pool.reads]
    start, stream, kept = _take(x, reads), [], []
    stream.append(tower.pool.read(start)[0])
    last, hidden = len(tower.blocks) - 1, _keeping(tower) if neurons else None
    for layer, block in enumerate(tower.blocks):
        is_last = layer == last
        keys = by_token or is_last
        through = (places[layer], reads)
        x, part = run_block(block, x, *through, is_last=is_last, keys=keys, hidden=hidden)
        kept.append(part)
        if layer < last:
            stream.append(tower.pool.read(_take(x, reads))[0])
    with torch.autocast(x.device.type, enabled=False):
        return _pooled(tower, x.float(), start.float(), stream, kept, by_token)


def images_at_once(tower: Tower, by_token: bool, neurons: bool = False) -> int:
    """Return how many images a pass may hold, so that what it keeps stays small."""
    read = len(range(tower.tokens)[tower.pool.reads])
    tokens = 2 * read + (3 * tower.tokens if by_token else 0)
    numbers = tokens * tower.width
    if neurons:
        numbers += tower.neurons * (read if tower.pool.norm else 1)
    return max(1, KEPT_AT_ONCE // (4 * len(tower.blocks) * numbers))


def images_in_reused_memory(tower: Tower) -> int:
    """Return how many images a pass may hold on a processor, so that layers reuse their memory."""
    hidden = 4 * tower.width  # of an MLP, whose output is a tower's largest
    return max(1, WRITTEN_AT_ONCE // (4 * tower.tokens * hidden))


def join(parts: list[Parts]) -> Parts:
    """Put the parts of several passes one after the other."""
    if len(parts) == 1:
        return parts[0]
    columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Parts)}
    joined = {name: None if c[0] is None else torch.cat(c) for name, c in columns.items()}
    return Parts(**joined)


def _take(x: torch.Tensor, reads: range) -> torch.Tensor:
    """Return the tokens that are read; one token alone does not keep all others alive."""
    read = x[:, reads.start : reads.stop]
    return read.clone() if len(reads) == 1 else read


def run_block(
    block: Block,
    x: torch.Tensor,
    places: torch.Tensor | None,
    reads: range,
    *,
    is_last: bool,
    keys: bool = False,
    patch: "Patch | None" = None,
    hidden: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> tuple[torch.Tensor, BlockParts]:
    """Run a block, keeping what its parts add."""
    tokens = reads if is_last else range(x.shape[1])
    query, key, value = block.attention.project(block.enter(x), tokens, places)
    mixed = F.scaled_dot_product_attention(query, key, value)  # n × heads × tokens × head width
    mixed = patch.heads(mixed) if patch else mixed
    outputs = mixed.transpose(1, 2).flatten(2)
    outputs = block.alter(outputs) if block.alter else outputs
    added, inner, leave = block.write(outputs)
    x = x[:, tokens.start : tokens.stop] + added
    excited = block.mlp.excite(x)
    mlp = block.mlp.write(excited)
    mlp = patch.mlp(mlp) if patch else mlp
    place = range(reads.start - tokens.start, reads.stop - tokens.start)
    here = slice(place.start, place.stop)
    kept = BlockParts(
        outputs=_take(outputs, place),
        mlp=_take(mlp, place),
        inner=None if inner is None else inner[:, here],
        leave=None if leave is None else leave[:, here],
        hidden=hidden(_take(excited, place)) if hidden else None,
        **(_reading(query[:, :, here], key, value) if keys else {}),
    )
    return x + mlp, kept


def _reading(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return what says how tokens read others: of a single token, its attention itself.

    That is small, and the memory of queries and keys is free for the next layer to write.
    """
    if query.shape[2] > 1:
        return {"query": query, "key": key, "value": value}
    return {"mixing": _softmax(query, key), "value": value.contiguous()}


def _keeping(tower: Tower) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what to keep of activations: of tokens that weigh the same, their mean at once."""
    if tower.pool.norm and tower.pool.reads != slice(0, 1):
        return lambda excited: excited
    return lambda excited: excited.float().mean(dim=1, keepdim=True)


def _pooled(
    tower: Tower,
    x: torch.Tensor,
    start: torch.Tensor,
    stream: list[torch.Tensor],
    kept: list[BlockParts],
    by_token: bool,
) -> Parts:
    pooled, attention, weights = tower.pool.read(x)
    embedding, pool_mlp, inverse = tower.pool.finish(pooled)
    if inverse is not None:
        weights = weights * inverse[:, None, None]
    weighted = [_weighted(part, weights) for part in kept]
    heads = [weight @ part.outputs.float() for weight, part in zip(weighted, kept, strict=True)]
    return Parts(
        embedding=embedding,
        attention=_attention(tower, attention, kept[-1]),
        stream=torch.stack([*stream, pooled], dim=1).float(),
        start=weights @ start,
        heads=torch.stack(heads, dim=1).unflatten(-1, (tower.heads, -1)).transpose(2, 3),
        mlps=torch.stack([weights @ part.mlp.float() for part in kept], dim=1),
        biases=torch.stack([_bias_weights(part, weights) for part in kept], dim=1),
        pool_mlp=pool_mlp,
        inverse=inverse,
        neurons=_neurons(kept, weights),
        **_by_token(kept, weighted, by_token),
    )


def _neurons(kept: list[BlockParts], weights: torch.Tensor) -> torch.Tensor | None:
    if kept[0].hidden is None:
        return None
    if kept[0].hidden.shape[1] < weights.shape[-1]:
        weights = weights.sum(dim=-1, keepdim=True)
    return torch.cat([weights @ part.hidden.float() for part in kept], dim=1)


def _weighted(part: BlockParts, weights: torch.Tensor) -> torch.Tensor:
    for inverse in (part.inner, part.leave):
        weights = weights if inverse is None else weights * inverse[:, None]
    return weights


def _bias_weights(part: BlockParts, weights: torch.Tensor) -> torch.Tensor:
    plain = weights.sum(-1)  # n × pool heads
    divided = plain if part.leave is None else (weights * part.leave[:, None]).sum(-1)
    return torch.stack([divided, plain], dim=1)


def _attention(tower: Tower, attention: torch.Tensor, last: BlockParts) -> torch.Tensor:
    if tower.pool.query:
        first = range(tower.tokens)[tower.pool.reads].start
        return attention.mean(dim=1)[:, tower.prefix - first :]
    return _mixing(last).mean(dim=(1, 2))[:, tower.prefix :]


def _mixing(part: BlockParts) -> torch.Tensor:
    """Return the attention of the tokens read to all tokens, n × heads × tokens read × tokens."""
    return _softmax(part.query, part.key) if part.mixing is None else part.mixing


def _softmax(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    with torch.autocast(query.device.type, enabled=False):
        query, key = query.float(), key.float()
        return (query @ key.mT * query.shape[-1] ** -0.5).softmax(dim=-1)


def _by_token(
    kept: list[BlockParts], weighted: list[torch.Tensor], by_token: bool
) -> dict[str, torch.Tensor | None]:
    if not by_token:
        return {"token_weights": None, "values": None}
    through = [
        weight[:, None] @ _mixing(part) for weight, part in zip(weighted, kept, strict=True)
    ]  # n × heads × pool heads × tokens
    values = torch.stack([part.value for part in kept], dim=1).float()
    return {"token_weights": torch.stack(through, dim=1), "values": values}
