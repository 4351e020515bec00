"""Building an embedded model from the small file of its weights."""

import json
from functools import cache

import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load_file

from helpers.clip.embedded import architecture, folder, weights_file

TABLE = "token_embedding.weight"
ROWS = "token_embedding.rows"


def build(
    name: str, checkpoint: str | int | None = None, *, seed: int = 0
) -> tuple[CLIP, "Tokenizer"]:
    """Build an embedded model."""
    file, made = weights_file(name, checkpoint), architecture(name)
    with torch.random.fork_rng(devices=[]):  # the initial weights leave no trace
        weights = load_file(file) if file else _untrained(name, seed)
        model = CLIP(**made)
    rows = weights.pop(ROWS).long()
    # Rows that were never trained stay 0: an unknown word says nothing beyond its place.
    table = torch.zeros(made["text_cfg"]["vocab_size"], made["text_cfg"]["width"])
    table[rows] = weights[TABLE].float()
    model.load_state_dict({**weights, TABLE: table})
    return model.eval(), Tokenizer(rows, made["text_cfg"]["context_length"])


def _untrained(name: str, seed: int) -> dict[str, torch.Tensor]:
    from helpers.clip.embedded.initial import new_model
    from helpers.clip.embedded.text import known_tokens

    recipe = json.loads((folder(name) / "training.json").read_text())
    made = new_model(name, recipe["seed"] + seed)
    return made.state_dict() | {ROWS: known_tokens(name)}


class Tokenizer:
    """CLIP's tokenizer, which knows what words the embedded model never met."""

    def __init__(self, rows: torch.Tensor, context_length: int):
        self.tokenize = _tokenizer(context_length)
        self.known = set(rows.tolist())

    def __call__(self, texts: str | list[str], context_length: int | None = None) -> torch.Tensor:
        """Return the tokens, texts × context length (the model's own by default)."""
        return self.tokenize(texts, context_length)

    def unknown(self, tokens: torch.Tensor) -> str:
        """Return a sentence on the tokens that the model never met; "" if it knows all."""
        unknown = sorted(set(tokens.unique().tolist()) - self.known)
        if not unknown:
            return ""
        words = ", ".join(self.tokenize.decoder[t].removesuffix("</w>") for t in unknown[:8])
        return (
            f"The embedded model never met {len(unknown)} of the tokens in these texts ({words});"
            " they count as nothing."
        )


@cache
def _tokenizer(context_length: int) -> SimpleTokenizer:
    """Read CLIP's tokenizer, which takes as long as a model's weights, once."""
    return SimpleTokenizer(context_length=context_length)
