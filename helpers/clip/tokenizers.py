"""Tokenizers of the text towers, or why there is none here; and encoding tokens.

Texts are encoded as far as they go: padding changes nothing where attention is causal.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call

from helpers.checks import WorkbookError

FILES = ("tokenizer.json", "spiece.model", "tokenizer.model", "vocab.json", "vocab.txt")
"""Any of these holds a tokenizer's vocabulary."""
LOCAL = "local-dir:"
"""What open_clip writes before a folder that has a configuration of its own."""
AT_ONCE = 256
"""Texts in a forward pass: a pool of thousands would fill the memory."""
BY_LENGTH = ("positional_embedding", "attn_mask")
"""Of a text tower, what has a row for every token that it could read."""


class HubTokenizer:
    """A tokenizer of transformers', which says where a text is too long.

    **options
    Of open_clip's `HFTokenizer`, such as ``clean``.
    """

    def __init__(self, source: str, **options):
        from open_clip.tokenizer import HFTokenizer

        # A folder may name a program of its own as its tokenizer: it is never run.
        self.tokenize = HFTokenizer(source, trust_remote_code=False, **options)

    def __call__(self, texts: Sequence[str], context_length: int) -> torch.Tensor:
        """Return tokens, texts × context length; the last is not 0 where a text needs more."""
        limit = context_length - 1
        tokens = self.tokenize(list(texts), limit)
        cleaned = [self.tokenize.clean_fn(text) for text in texts]
        lengths = [len(text) for text in self.tokenize.tokenizer(cleaned).input_ids]
        over = torch.tensor([[int(length > limit)] for length in lengths])
        return torch.cat([tokens, over], dim=1)


@dataclass(frozen=True)
class NoTokenizer:
    """Stands where there is no tokenizer, and says so when a text is given."""

    model: str
    reason: str  # the end of a sentence

    def __call__(self, texts: Sequence[str], context_length: int) -> torch.Tensor:
        """Raise a `WorkbookError`."""
        raise WorkbookError(f"{self.model} reads no texts here: {self.reason}.")


def open_tokenizer(name: str) -> Callable:
    """Open the tokenizer of an open_clip model."""
    import open_clip

    text = open_clip.get_model_config(name)["text_cfg"]
    source = text.get("hf_tokenizer_name")
    if source is None:
        return open_clip.get_tokenizer(name)
    options = text.get("tokenizer_kwargs", {})
    folder = Path(name.removeprefix(LOCAL))
    if name != str(folder) and not why_no_file(folder):
        return of_folder(folder, **options)
    if reason := _unreachable(source):
        return NoTokenizer(name, reason)
    try:
        return HubTokenizer(source, **options)
    except Exception as error:  # transformers raises kinds of its own for files that don't fit
        return NoTokenizer(name, f"its tokenizer {source} can't be opened ({_first_line(error)})")


def why_no_texts(name: str) -> str | None:
    """Return why an open_clip model can read no texts here, as the end of a sentence, or None."""
    import open_clip

    text = open_clip.get_model_config(name)["text_cfg"]
    sources = [text[key] for key in ("hf_model_name", "hf_tokenizer_name") if text.get(key)]
    if name.startswith(LOCAL) and not why_no_file(Path(name.removeprefix(LOCAL))):
        sources = [source for source in sources if source == text.get("hf_model_name")]
    return next((reason for source in sources if (reason := _unreachable(source))), None)


def why_no_tower(name: str) -> str | None:
    """Return why an open_clip model's text tower can't be built here, or None."""
    import open_clip

    source = open_clip.get_model_config(name)["text_cfg"].get("hf_model_name")
    return source and _unreachable(source)


def of_folder(folder: Path, **options) -> HubTokenizer:
    """Open the tokenizer that lies beside a model's weights."""
    return HubTokenizer(str(folder), local_files_only=True, **options)


def why_no_file(folder: Path) -> str | None:
    """Return why a folder has no tokenizer, as the end of a sentence, or None."""
    if any((folder / file).is_file() for file in FILES):
        return None
    return f"there is no tokenizer ({', '.join(FILES[:2])}) in its folder"


def _unreachable(source: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    from helpers.clip import hub

    files = ("config.json", *FILES)
    if any(isinstance(try_to_load_from_cache(source, file), str) for file in files):
        return None
    if hub.reachable():
        return None
    return f"the files of {source} are not on this machine, and no model hub can be reached"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".: ")


class _Texts(nn.Module):
    def __init__(self, clip: nn.Module):
        super().__init__()
        self.clip = clip

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.clip.encode_text(tokens)


def encode_tokens(clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Encode texts as ``clip.encode_text`` does, those of a like length together: n × features."""
    lengths = _lengths(clip, tokens)
    order = lengths.argsort(stable=True)
    batches = order.split(AT_ONCE)
    encoded = [_encoded(clip, tokens[batch], int(lengths[batch[-1]])) for batch in batches]
    return torch.cat(encoded)[order.argsort().cpu()]


def _encoded(clip: nn.Module, tokens: torch.Tensor, length: int) -> torch.Tensor:
    read = tokens[:, :length]
    shorter = dict(_shortened(clip, length)) if length < tokens.shape[1] else {}
    return functional_call(_Texts(clip), shorter, read).float().cpu()


def _shortened(clip: nn.Module, length: int) -> Iterator[tuple[str, torch.Tensor]]:
    at = "clip.text." if hasattr(clip, "text") else "clip."
    tower = getattr(clip, "text", clip)
    for name in BY_LENGTH:
        value = getattr(tower, name)
        yield f"{at}{name}", value[:length, :length] if name == "attn_mask" else value[:length]


def _lengths(clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Return how many tokens of each text count."""
    tower = getattr(clip, "text", clip)
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    is_causal = getattr(tower, "attn_mask", None) is not None
    if not is_causal or getattr(tower, "cls_emb", None) is not None:
        pool = None
    if pool == "argmax":
        return tokens.argmax(1) + 1
    if pool == "eos":
        end = getattr(tower, "text_eos_id", getattr(tower, "eos_id", None))
        return (tokens == end).int().argmax(1) + 1
    return torch.full_like(tokens[:, 0], tokens.shape[1])
