"""A decomposition that forms what every token reads from every token by every head.

Written from the formula of Gandelsman et al. 2024, section 3, as it stands: the sums over tokens
and heads are taken after all their summands are there. The other side of `make bench`.
"""

import torch
from open_clip.transformer import VisionTransformer


def contributions(visual: VisionTransformer, pixels: torch.Tensor) -> torch.Tensor:
    """Run a vision tower and return what every head reads from every token.

    Parameters
    ----------
    visual : VisionTransformer
        open_clip's.
    pixels : Tensor, n × 3 × height × width
        Normalised images.

    Returns
    -------
    Tensor, n × layers × tokens × heads × features
    """
    found = []
    with torch.inference_mode():
        x = visual._embeds(pixels)
        for block in visual.transformer.resblocks:
            written = _written(block.attn, block.ln_1(x))
            found.append(written[:, 0])
            x = x + written.sum(dim=(2, 3)) + block.attn.out_proj.bias
            x = x + block.mlp(block.ln_2(x))
        norm, class_token = visual.ln_post, x[:, 0]
        scale = (class_token.var(dim=-1, unbiased=False) + norm.eps).rsqrt()
        parts = torch.stack(found, dim=1)
        centred = parts - parts.mean(dim=-1, keepdim=True)
        return (centred * scale[:, None, None, None, None] * norm.weight) @ visual.proj


def _written(attn: torch.nn.MultiheadAttention, x: torch.Tensor) -> torch.Tensor:
    """Return what token q reads from token t by head h, n × q × t × h × width."""
    query, key, value = (
        (x @ weight.T + bias).unflatten(-1, (attn.num_heads, -1))
        for weight, bias in zip(
            attn.in_proj_weight.chunk(3), attn.in_proj_bias.chunk(3), strict=True
        )
    )
    scores = torch.einsum("nqhk,nthk->nhqt", query, key) * query.shape[-1] ** -0.5
    read = torch.einsum("nhqt,nthk->nqthk", scores.softmax(dim=-1), value)
    output = attn.out_proj.weight.unflatten(1, (attn.num_heads, -1))  # width × h × k
    return torch.einsum("nqthk,dhk->nqthd", read, output)
