"""Which heads carry a property: those that unlearn it when captions stop telling it.

The heads of an embedded model are trained on for a little while by CLIP's loss, on captions that
leave out one property; all else in the model stays as it is. Then the heads so retrained take their
places in the model as it was, one at a time: what of the property is lost with which?

`python -m helpers.head_benchmark.retraining embedded-clip` writes the answer to the model's folder.
"""

import argparse
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pandas as pd
import torch
import xarray as xr
from open_clip.model import CLIP
from tqdm import tqdm

from helpers.analysis.dissection import place_of
from helpers.analysis.proximity import normalised
from helpers.checks import WorkbookError
from helpers.clip import Model, embedded, load, weights
from helpers.data.scenes import PROPERTIES, captions
from helpers.head_benchmark.methods import heads_of, pair_of_scenes, prompts
from helpers.training import captioned
from helpers.training.batches import stacked_pixels
from helpers.training.examples import Example, pixels_of, value_of
from helpers.training.settings import Settings
from helpers.training.train import batches_of

LEFT_OUT = tuple(name for name in PROPERTIES if name != "count")
"""Properties that captions can leave out: those that list all objects give their number."""
NOTHING = None
"""In place of a property: the captions of the control leave out nothing more."""
TRAININGS = range(2)
STEPS, LENGTH = 60, 0.1
PICTURES = 60  # in a batch, at most
FIRST_UNSEEN = 1_000_000  # scenes from here on were in nobody's training
PAIRS = 24  # of scenes, for each training; the methods and the other tests see others
FIRST_PAIR = 100
TABLE = "retrained.csv"
ALL_HEADS = "all heads"
ANOTHER = "another retraining"


def batches(model_name: str, training: int) -> Iterator[list[Example]]:
    """Draw scenes as the recipe of a model does in its last stage, for every step."""
    drawn = batches_of(Settings.read(model_name))
    count = PICTURES // drawn.drawn_at_once
    start = FIRST_UNSEEN + training * STEPS * count
    for first in range(start, start + STEPS * count, count):
        examples = [drawn.draw(index) for index in range(first, first + count)]
        yield list(chain.from_iterable(examples)) if drawn.drawn_at_once > 1 else examples


def without(caption: captions.Caption, name: str | None) -> str:
    """Write a caption anew, by the first template, without what it says about a property."""
    whole, *objects = (
        {claim: value for claim, value in claims.items() if claim != name}
        for claims in (caption.scene, *caption.objects)
    )
    return captions.sentence(whole, objects)


def texts_of(scenes: Sequence[Example], name: str | None, seed: tuple[int, ...]) -> list[str]:
    """Write a full caption of every scene, then one that describes a part."""
    rng = np.random.default_rng(seed)
    return [
        without(write(item.objects, item.scene["medium"], item.scene["background"], rng), name)
        for write in (captions.full_caption, captions.random_caption)
        for item in scenes
    ]


class Retraining:
    """A copy of a model whose heads are trained on, without a property."""

    def __init__(self, model: Model, name: str | None):
        self.name, self.tokenizer = name, model.tokenizer
        self.clip: CLIP = deepcopy(model.clip).requires_grad_(False)
        self.weights = [
            weight.requires_grad_()
            for block in self.clip.visual.transformer.resblocks
            for key, weight in block.attn.named_parameters()
            if key != "out_proj.bias"  # which no head owns
        ]
        # Steps along the gradient itself: one that is scaled for each weight, like Adam's, would
        # move those heads, too, that have nothing to do with the property.
        self.optimiser = torch.optim.SGD(self.weights, lr=LENGTH)

    def update(self, scenes: Sequence[Example], seed: tuple[int, ...]) -> None:
        """Take a step of `LENGTH`, so that all copies walk equally far."""
        tokens = self.tokenizer(texts_of(scenes, self.name, seed))
        batch = {"pixels": stacked_pixels(scenes), "captions": tokens}
        losses = captioned.losses(self.clip, batch, self.clip.logit_scale.exp())
        sum(losses.values()).backward()
        length = torch.nn.utils.get_total_norm([weight.grad for weight in self.weights])
        for weight in self.weights:
            weight.grad /= length
        self.optimiser.step()
        self.optimiser.zero_grad()


def retrain(model: Model, names: Sequence[str | None], training: int) -> list[Model]:
    """Train the heads on, without each of some properties; all see the same scenes."""
    retrainings = [Retraining(model, name) for name in names]
    drawn = tqdm(batches(model.name, training), f"training {training}", STEPS)
    for step, scenes in enumerate(drawn):
        for each in retrainings:
            each.update(scenes, (training, step))
    return [replace(model, clip=item.clip.requires_grad_(False)) for item in retrainings]


def with_head_of(model: Model, other: Model, head: str) -> Model:
    """Put a head of another model of the same making into its place in this one."""
    layer, number = place_of(head)
    clip = deepcopy(model.clip)
    into, taken = (c.visual.transformer.resblocks[layer].attn for c in (clip, other.clip))
    size = into.embed_dim // into.num_heads
    of_head = slice(number * size, (number + 1) * size)
    with torch.no_grad():
        for part in ("in_proj_weight", "in_proj_bias"):
            new = getattr(taken, part).unflatten(0, (3, -1))[:, of_head]
            getattr(into, part).unflatten(0, (3, -1))[:, of_head] = new
        into.out_proj.weight[:, of_head] = taken.out_proj.weight[:, of_head]
    return replace(model, clip=clip)


@dataclass(frozen=True)
class Question:
    """Pairs of scenes that differ in a property alone, and the texts of their values."""

    pixels: np.ndarray  # 2 · pairs × 224 × 224 × 3: first all the first ones
    along: np.ndarray  # pairs × features: the text of the first's value less that of the other's

    @classmethod
    def drawn(cls, model: Model, name: str, indices: Sequence[int]) -> "Question":
        """Draw pairs."""
        pairs = [pair_of_scenes(name, index) for index in indices]
        texts, values = prompts(model, name), PROPERTIES[name].values
        numbers = [[values.index(value_of(item, name)) for item in pair] for pair in pairs]
        first, other = texts[np.transpose(numbers)]
        scenes = chain(*zip(*pairs, strict=True))
        return cls(pixels_of(scenes), first - other)

    def gaps(self, model: Model) -> np.ndarray:
        """Say how far a model distinguishes each pair: the difference of its margins, (pairs,)."""
        embeddings = normalised(model.encode(self.pixels).embedding)
        return np.einsum("pf,pf->p", np.subtract(*np.split(embeddings, 2)), self.along)


def unlearnt(
    model: Model, retrained: Model, control: Model, question: Question, heads: Sequence[str]
) -> pd.DataFrame:
    """Measure what of a property is lost with each head that was retrained without it.

    Parameters
    ----------
    model, retrained, control : Model
        As it was, retrained without the property, and with captions that leave out nothing more.
    question : Question
        About the property.
    heads : sequence of str
        Such as ``L3.H1``.

    Returns
    -------
    DataFrame, pairs × (heads and `ALL_HEADS`)
        By how much less the pairs are distinguished than with the control's head in that place, as
        a part of how far the model distinguishes them; and the same with all heads at once.
    """
    lost = {
        head: question.gaps(with_head_of(model, control, head))
        - question.gaps(with_head_of(model, retrained, head))
        for head in heads
    }
    lost[ALL_HEADS] = question.gaps(control) - question.gaps(retrained)
    return pd.DataFrame(lost) / question.gaps(model).mean()


def measure(model: Model) -> pd.DataFrame:
    """Retrain without every property, and measure what each head unlearns.

    Parameters
    ----------
    model : Model
        An embedded one, on the CPU.

    Returns
    -------
    DataFrame, (weights, training, property, pair) × (heads and `ALL_HEADS`)
        The weights are the model's fingerprint.
    """
    heads = heads_of(model, model.layers)
    result = {}
    for training in TRAININGS:
        control, *retrained = retrain(model, (NOTHING, *LEFT_OUT), training)
        first = FIRST_PAIR + training * PAIRS
        for name, altered in zip(LEFT_OUT, retrained, strict=True):
            question = Question.drawn(model, name, range(first, first + PAIRS))
            table = unlearnt(model, altered, control, question, heads)
            result[model.fingerprint, training, name] = table
    return pd.concat(result, names=["weights", "training", "property", "pair"])


def read(name: str) -> xr.DataArray:
    """Read what was measured of an embedded model.

    Parameters
    ----------
    name : str
        One of `helpers.clip.embedded.NAMES`.

    Returns
    -------
    DataArray, (training, pair, property, head)
        As of `unlearnt`, with `ALL_HEADS` as the last head.

    Raises
    ------
    WorkbookError
        If the table is of other weights.
    """
    path, fingerprint = embedded.folder(name) / TABLE, weights.fingerprint(name, None)
    table = pd.read_csv(path, index_col=["training", "property", "pair"])
    if set(table.pop("weights")) != {fingerprint}:
        raise WorkbookError(
            f"{path} was measured with other weights of {name}; measure it anew:"
            f" python -m helpers.head_benchmark.retraining {name}"
        )
    stacked = table.rename_axis(columns="head").stack()
    return stacked.to_xarray().transpose("training", "pair", "property", "head")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=embedded.NAMES)
    name = parser.parse_args().name
    measured = measure(load(name, device="cpu"))
    measured.to_csv(embedded.folder(name) / TABLE, float_format="%.4f")


if __name__ == "__main__":
    main()
