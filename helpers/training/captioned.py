"""What `embedded-clip` is taught: captions of contrast sets, by CLIP's loss."""

from itertools import islice

import numpy as np
import torch
from open_clip.loss import ClipLoss
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional

from helpers.clip.embedded.initial import normalise
from helpers.data.scenes import compositions
from helpers.data.scenes.contrasts import SET_SIZE, contrast_set
from helpers.data.scenes.vocabulary import COUNTS
from helpers.training.batches import Batches, photograph_caption, stacked_pixels
from helpers.training.examples import Example, from_scene
from helpers.training.text import encode_texts, tokenize

CAPTIONS = (compositions.full_caption, compositions.partial_caption)


class CaptionedBatches(Batches):
    """Batches whose scenes are whole contrast sets.

    A batch is a dict of pixels (pictures × 3 × 224 × 224, uint8) and captions (tokens: first a full
    caption of each picture, then one that describes a part).
    """

    drawn_at_once = SET_SIZE

    def draw(self, index: int) -> list[Example]:
        """Draw a contrast set, at the stage of the curriculum that its index has reached."""
        stage = self.settings.stage(index * SET_SIZE)
        chance, number = np.random.default_rng((self.settings.seed, index)).random(2)
        easy = chance < stage.easy
        single = easy or chance > 1 - stage.single
        count = 1 if single else 2 + int(number * (len(COUNTS) - 1))
        return [from_scene(item) for item in contrast_set(index, self.settings.seed, count, easy)]

    def choose(self, window: dict, step: int, count: int, rng: np.random.Generator) -> list:
        """Choose contrast sets, until there are enough pictures."""
        sets = (window[number] for number in rng.permutation(len(window)))
        return list(islice((item for members in sets for item in members), count))

    def collate(self, examples: list[Example], rng: np.random.Generator) -> dict:
        """Write the captions."""
        written = [caption_of(item, write, rng) for write in CAPTIONS for item in examples]
        tokens = tokenize(written, self.settings.name)
        return {"pixels": stacked_pixels(examples), "captions": torch.from_numpy(tokens)}


def caption_of(example: Example, write, rng: np.random.Generator) -> str:
    """Caption a scene, or the crop of a photograph."""
    if example.subject is not None:
        return photograph_caption(example, rng)
    whole = example.scene
    return write(example.objects, whole["medium"], whole["background"], rng)


def losses(model: CLIP, batch: dict, scale: Tensor) -> dict[str, Tensor]:
    """Compute CLIP's loss (Radford et al. 2021, section 2.3), for full and for partial captions.

    Parameters
    ----------
    model : open_clip.model.CLIP
    batch : dict
        As of `CaptionedBatches`.
    scale : torch.Tensor
        Inverse temperature.

    Returns
    -------
    dict of str to torch.Tensor
        Name → loss, a scalar.
    """
    with torch.autocast(batch["pixels"].device.type, torch.bfloat16):
        images = model.visual(normalise(batch["pixels"], torch.bfloat16))
        texts = encode_texts(model, batch["captions"])
    images, texts = (functional.normalize(f.float(), dim=-1) for f in (images, texts))
    result = (ClipLoss()(images, part, scale) for part in texts.split(len(images)))
    return dict(zip(("full captions", "partial captions"), result, strict=True))
