"""The words that the embedded models know, and their tokens."""

from functools import cache

import torch
from open_clip.tokenizer import SimpleTokenizer

from helpers.data.scenes import PROPERTIES, captions
from helpers.data.scenes.compositions import RELATIONS
from helpers.data.sources import PHOTOS

CONTEXT = 24
PHOTO_PROMPTS = ("{}", "a photo of {}", "a picture of {}", "this is {}")
HELD_OUT_PHOTO_PROMPTS = ("here is {}", "a picture with {}")
FURTHER_WORDS = {"embedded": "", "embedded-clip": " ".join(RELATIONS)}


@cache
def tokenizer() -> SimpleTokenizer:
    """Return CLIP's own tokenizer, from the files that open_clip ships."""
    return SimpleTokenizer(context_length=CONTEXT)


def _sentences() -> list[str]:
    """Write something with every word of the scenes, the photographs and the templates."""
    prompts = [
        item.write(template, value)
        for item in PROPERTIES.values()
        for template in item.prompts + item.held_out
        for value in item.values
    ]
    openings = (
        captions.OPENINGS
        + captions.HELD_OUT_OPENINGS
        + captions.MEDIUM_OPENINGS
        + captions.HELD_OUT_MEDIUM_OPENINGS
    )
    glue = [opening.format("") for opening in openings] + ["a an and the on in at of objects"]
    photographs = [prompt.format("") for prompt in PHOTO_PROMPTS + HELD_OUT_PHOTO_PROMPTS]
    return prompts + glue + photographs + list(PHOTOS.values())


@cache
def known_tokens(model: str) -> torch.Tensor:
    """Return the rows of CLIP's token table that a model learns, ascending.

    Start, end and padding (0) included. The end has the highest number, and stays the highest
    when rows are renumbered, which is how CLIP finds it.
    """
    return tokenizer()([*_sentences(), FURTHER_WORDS[model]]).unique()
