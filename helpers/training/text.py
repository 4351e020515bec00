"""Texts as training takes them: tokens by their rows, encoded as far as they go."""

import numpy as np
import torch
from open_clip.model import CLIP

from helpers.clip.embedded.text import known_tokens, tokenizer


def tokenize(texts: list[str], model: str) -> np.ndarray:
    """Tokenize for training: texts × CONTEXT, each token numbered by its row in `known_tokens`."""
    return np.searchsorted(known_tokens(model).numpy(), tokenizer()(texts).numpy())


def encode_texts(model: CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """Encode texts as `CLIP.encode_text` does, but only as far as the longest of them goes.

    Attention is causal, so that the padding behind the end changes nothing.
    """
    ends = tokens.argmax(1)
    length = int(ends.max()) + 1
    x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x[torch.arange(len(x), device=x.device), ends])
    return x @ model.text_projection
