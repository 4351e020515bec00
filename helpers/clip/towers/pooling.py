"""From the final tokens to the embedding: linear in the tokens once its weights are known.

With final tokens x_p, pool heads g and weights w_gp (attention divided by the norm's deviation),

    z = Σ_g Σ_p w_gp (C x_p ⊙ gain) V_g O_g + constants,    e = (z + mlp(z)) / deviation … P

A class token is the case of one token and weight, a mean that of equal weights and V O = I. So any
component c_p of the tokens adds Σ_g Σ_p w_gp c_p A_g to the embedding, with matrices A_g that hang
on the model's weights alone, and the pool's own MLP, which reads z, is one more component.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from helpers.clip.towers.norms import Norm


@dataclass(frozen=True)
class Query:
    """Attention from a query that is the same for every image."""

    # width × pool heads: each pool head's query, scaled, through its key matrix: a token's product
    # with it is its score. (The key's bias adds the same to all scores of a head, so it changes
    # nothing.)
    keys: torch.Tensor
    values: torch.Tensor  # pool heads × width × head width
    value_bias: torch.Tensor  # pool heads × head width
    output: torch.Tensor  # (pool heads · head width) × pooled width
    bias: torch.Tensor

    @classmethod
    def of(
        cls,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        value_bias: torch.Tensor | None,
        output: torch.nn.Linear,
        heads: int,
    ) -> "Query":
        """Fold the projections of one query's attention.

        Keys and values: (heads · head width) × width.
        """
        split = query.unflatten(0, (heads, -1))
        scaled = split * split.shape[1] ** -0.5
        value_bias = torch.zeros_like(query) if value_bias is None else value_bias
        return cls(
            keys=torch.einsum("gk,gkw->wg", scaled, key.unflatten(0, (heads, -1))),
            values=value.unflatten(0, (heads, -1)).transpose(1, 2),
            value_bias=value_bias.unflatten(0, (heads, -1)),
            output=output.weight.T,
            bias=output.bias,
        )


@dataclass(frozen=True)
class Pool:
    """How a tower turns its final tokens into an embedding."""

    reads: slice  # which tokens
    norm: Norm | None  # of every token, before they are pooled
    projection: torch.Tensor  # pooled width × features; features
    bias: torch.Tensor
    # attention pooling; without it, the mean of the tokens that are read
    query: Query | None = None
    # what is added to the pooled vector, from that vector
    mlp: Callable[[torch.Tensor], torch.Tensor] | None = None
    final: Norm | None = None  # of the pooled vector

    def read(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pool tokens, head by head.

        Tokens, n × tokens read × width → n × pool heads × width.
        """
        normed, inverse = self.norm(x) if self.norm else (x.float(), None)
        if self.query:
            attention = (normed @ self.query.keys).softmax(dim=1).transpose(1, 2)
            pooled = attention @ normed
        else:
            count = x.shape[1]
            attention = x.new_full((len(x), 1, count), 1 / count, dtype=torch.float32)
            pooled = normed.mean(dim=1, keepdim=True)
        weights = attention if inverse is None else attention * inverse[:, None]
        return pooled, attention, weights

    def finish(
        self, pooled: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Make the embedding of what was pooled.

        Pooled, … × pool heads × width → … × features.
        """
        z, added, inverse = pooled[..., 0, :], None, None
        if query := self.query:
            by_head = torch.einsum("...gw,gwk->...gk", pooled, query.values) + query.value_bias
            z = by_head.flatten(-2) @ query.output + query.bias
        if self.mlp:
            added = self.mlp(z)
            z = z + added
        if self.final:
            z, inverse = self.final(z)
        return z @ self.projection + self.bias, added, inverse

    def linear(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return what a component of the tokens goes through, once weights are known.

        Of shape pool heads × width × inner.
        """
        if self.query:
            inputs, outputs = self.query.values, self.query.output @ self.after()
        else:
            inputs, outputs = self.after()[None], None
        return (self.norm.before(inputs) if self.norm else inputs), outputs

    def after(self) -> torch.Tensor:
        """Return what the pooled vector goes through, pooled width × features."""
        return self.final.before(self.projection) if self.final else self.projection

    def constants(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what all biases add to the embedding."""
        bias = self.norm.bias if self.norm else self.projection.new_zeros(self._width)
        if query := self.query:
            by_head = torch.einsum("w,gwk->gk", bias, query.values) + query.value_bias
            bias = by_head.flatten() @ query.output + query.bias
        plain = self.bias + self.final.bias @ self.projection if self.final else self.bias
        return bias @ self.after(), plain

    @property
    def _width(self) -> int:
        return len(self.query.keys if self.query else self.projection)
