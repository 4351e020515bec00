"""What `embedded` is taught: captions, and by the masks and prompts of properties, far more.

Two things set this apart from CLIP: a loss for the prompts of every property, and one for what each
patch shows.
"""

import numpy as np
import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional

from helpers.clip.embedded.initial import normalise
from helpers.clip.embedded.text import PHOTO_PROMPTS
from helpers.data import scenes
from helpers.data.scenes import HELD_OUT_COMBINATIONS, PROPERTIES, captions
from helpers.training.batches import Batches, photograph_caption, stacked_pixels
from helpers.training.examples import (
    EASY,
    GRID,
    OBJECT_PROPERTIES,
    SINGLE,
    SUBJECTS,
    Example,
    from_scene,
)
from helpers.training.losses import contrastive_loss, property_loss
from helpers.training.settings import Taught
from helpers.training.text import encode_texts, tokenize

PAIRS = (
    ("colour", "shape"),
    ("shape", "position"),
    ("colour", "position"),
    ("shape", "fill"),
    ("colour", "size"),
)


def caption_of(example: Example, rng: np.random.Generator, full: bool) -> captions.Caption:
    """Write a caption: a full one or one that mentions a random part."""
    if example.subject is not None:
        said = {"subject": example.subject}
        return captions.Caption(photograph_caption(example, rng), said, ())
    facts = (list(example.objects), example.scene["medium"], example.scene["background"], rng)
    return (captions.full_caption if full else captions.random_caption)(*facts)


def is_true(caption: captions.Caption, example: Example) -> bool:
    """Check whether everything that a caption says is true of a picture."""
    if "subject" in caption.scene:
        return caption.scene["subject"] == example.subject
    if caption.scene.items() - example.scene.items():
        return False
    return all(
        any(claims.items() <= item.items() for item in example.objects)
        for claims in caption.objects
    )


def pair_values(pair: tuple[str, str]) -> list[dict[str, str]]:
    """List the combinations of two properties, without those held out."""
    first, second = pair
    return [
        {first: a, second: b}
        for a in PROPERTIES[first].values
        for b in PROPERTIES[second].values
        if (b, a) not in HELD_OUT_COMBINATIONS
    ]


def _pair_prompts(pair: tuple[str, str], opening: int) -> list[str]:
    return [captions.sentence({}, [claims], opening) for claims in pair_values(pair)]


def _prompts(name: str, choice: int) -> list[str]:
    row = PROPERTIES[name]
    return [row.write(row.prompts[choice % len(row.prompts)], value) for value in row.values]


def _present(name: str, examples: list[Example]) -> np.ndarray:
    """Mark the values of a property that each picture has, pictures × values."""
    values = PROPERTIES[name].values
    if name not in OBJECT_PROPERTIES:
        return np.array([[example.scene.get(name) == v for v in values] for example in examples])
    return np.array(
        [[any(item[name] == v for item in example.objects) for v in values] for example in examples]
    )


def _questions(examples: list[Example], rng: np.random.Generator, model: str) -> dict[str, tuple]:
    """Ask for every property: name → prompts (tokens) and the values present."""
    choice, pair = int(rng.integers(1 << 16)), PAIRS[rng.integers(len(PAIRS))]
    asked = {name: (_prompts(name, choice), _present(name, examples)) for name in PROPERTIES}
    asked["subject"] = (
        [PHOTO_PROMPTS[choice % len(PHOTO_PROMPTS)].format(subject) for subject in SUBJECTS],
        np.array([[item.subject == subject for subject in SUBJECTS] for item in examples]),
    )
    claims = pair_values(pair)
    held = [
        [any(c.items() <= o.items() for o in item.objects) for c in claims] for item in examples
    ]
    asked["pair"] = (_pair_prompts(pair, choice), np.array(held))
    return {
        name: (torch.from_numpy(tokenize(prompts, model)), torch.from_numpy(present))
        for name, (prompts, present) in asked.items()
    }


def _shown(name: str, examples: list[Example]) -> torch.Tensor:
    """Mark the value of a property that each patch shows, pictures × patches × values."""
    values = PROPERTIES[name].values
    shown = np.zeros((len(examples), GRID * GRID, len(values)), bool)
    for marks, example in zip(shown, examples, strict=True):
        for number, item in enumerate(example.objects):
            marks[example.owners.ravel() == number, values.index(item[name])] = True
    return torch.from_numpy(shown)


class TaughtBatches(Batches):
    """Batches of single scenes, with questions about all their properties.

    A batch is a dict of pixels (pictures × 3 × 224 × 224, uint8), captions (tokens of two captions
    a picture), truth (captions × pictures, bool), questions (name → prompts and the values present)
    and patches (name → pictures × patches × values, bool: the values that patches show).
    """

    def draw(self, index: int) -> Example:
        """Draw the scene of an index, at the stage of the curriculum that it has reached."""
        chance = np.random.default_rng((self.settings.seed, index)).random()
        stage, fixed = self.settings.stage(index), {}
        if chance < stage.easy:
            fixed = EASY
        elif chance > 1 - stage.single:
            fixed = SINGLE
        return from_scene(scenes.scene(index, self.settings.seed, **fixed))

    def choose(
        self, window: dict, step: int, count: int, rng: np.random.Generator
    ) -> list[Example]:
        """Choose scenes."""
        indices = rng.integers(len(window), size=count) + step * self.fresh
        return [window[index % len(window)] for index in indices]

    def collate(self, examples: list[Example], rng: np.random.Generator) -> dict:
        """Write captions and questions; see the class."""
        written = [caption_of(item, rng, full) for full in (True, False) for item in examples]
        truth = [[is_true(caption, item) for item in examples] for caption in written]
        tokens = tokenize([caption.text for caption in written], self.settings.name)
        taught = self.settings.taught.patch_weights
        return {
            "pixels": stacked_pixels(examples),
            "captions": torch.from_numpy(tokens),
            "truth": torch.tensor(truth),
            "questions": _questions(examples, rng, self.settings.name),
            "patches": {name: _shown(name, examples) for name in taught},
        }


def losses(model: CLIP, batch: dict, scale: Tensor) -> dict[str, Tensor]:
    """Compute the contrastive loss, that of each property, and that of the patches, unweighted.

    The last layer's patches go through the same projection as the class token, and the masks of
    the scenes say which object each of them shows. CLIP has no such loss; it makes the shape of
    things, of which captions say little, much faster to learn.

    Parameters
    ----------
    model : open_clip.model.CLIP
        Gives its patches beside the class token.
    batch : dict
        As of `TaughtBatches`.
    scale : torch.Tensor
        Inverse temperature.

    Returns
    -------
    dict of str to torch.Tensor
        Name → loss, a scalar.
    """
    questions, patches = batch["questions"], batch["patches"]
    prompts = torch.cat([tokens for tokens, _ in questions.values()])
    with torch.autocast(batch["pixels"].device.type, torch.bfloat16):
        images, tokens = model.visual(normalise(batch["pixels"], torch.bfloat16))
        features = (
            images,
            tokens @ model.visual.proj,
            encode_texts(model, batch["captions"]),
            encode_texts(model, prompts),
        )
    images, places, texts, prompts = (functional.normalize(f.float(), dim=-1) for f in features)
    result = {"contrastive": contrastive_loss(images, texts, batch["truth"], scale)}
    sizes = [len(tokens) for tokens, _ in questions.values()]
    for name, values in zip(questions, prompts.split(sizes), strict=True):
        result[name] = property_loss(images, values, questions[name][1], scale)
        if name in patches:
            shown = patches[name].flatten(0, 1)
            result[f"{name} of patches"] = property_loss(places.flatten(0, 1), values, shown, scale)
    return result


def weights(taught: Taught) -> dict[str, float]:
    """Weigh the losses, by name."""
    of_patches = {f"{name} of patches": share for name, share in taught.patch_weights.items()}
    return {"contrastive": 1.0, **taught.property_weights, **of_patches}
