"""Measure an embedded model on held-out scenes: `python -m helpers.training.evaluate NAME`.

Pictures, prompts, caption templates, some combinations of shape and colour, and the places of the
photographs' crops are none of those in training. Writes `evaluation.csv` and `recall.csv` beside
the weights and prints the tables of the model card.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from open_clip.model import CLIP
from scipy import stats

from helpers.clip.embedded import NAMES, folder
from helpers.clip.embedded.initial import new_model, normalise
from helpers.clip.embedded.text import HELD_OUT_PHOTO_PROMPTS
from helpers.clip.embedded.weights import build
from helpers.data.scenes import (
    HELD_OUT_COMBINATIONS,
    HELD_OUT_SEED,
    PROPERTIES,
    Scene,
    scene,
    sentence,
)
from helpers.data.scenes.vocabulary import COUNTS
from helpers.training.examples import SUBJECTS, crop, pixels_of, read_photographs, value_of
from helpers.training.text import tokenize

SCENES = 2000
VALIDATION_SCENES, VALIDATION_SEED = 400, HELD_OUT_SEED + 1
CROPS_PER_PHOTOGRAPH = 40
GALLERY = 100
BATCH = 100


class Encoders:
    """The two normalised encoders of a model."""

    def __init__(self, model: CLIP, tokenizer: Callable):
        self.model, self.tokenizer = model, tokenizer
        self.device = model.logit_scale.device

    @torch.inference_mode()
    def images(self, pixels: np.ndarray) -> np.ndarray:
        """Encode uint8 pixels, n × 224 × 224 × 3, as n × features."""
        batches = torch.from_numpy(pixels).permute(0, 3, 1, 2).split(BATCH)
        inputs = (normalise(batch.to(self.device)) for batch in batches)
        return torch.cat([self.model.encode_image(x, normalize=True).cpu() for x in inputs]).numpy()

    @torch.inference_mode()
    def texts(self, texts: list[str]) -> np.ndarray:
        """Encode texts as n × features."""
        parts = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        tokens = (torch.as_tensor(self.tokenizer(part)).to(self.device) for part in parts)
        return torch.cat([self.model.encode_text(t, normalize=True).cpu() for t in tokens]).numpy()

    def prompts(self, prompts: Iterable[list[str]]) -> np.ndarray:
        """Encode several lists of prompts for the same values and average them over the lists."""
        mean = sum(self.texts(part) for part in prompts)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def untrained(name: str) -> Encoders:
    """Return the encoders of a model before its first step, as a baseline."""
    return Encoders(new_model(name, seed=0).eval(), partial(tokenize, model=name))


def interval(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of n trials."""
    result = stats.binomtest(round(share * n), n).proportion_ci(method="wilson")
    return float(result.low), float(result.high)


@cache
def _scenes(of: str, n: int = SCENES, seed: int = HELD_OUT_SEED) -> list[Scene]:
    """Draw scenes for the properties of objects, one object each, or of scenes, all counts."""
    counts = {"object": COUNTS[:1], "scene": COUNTS}[of]
    return [scene(index, seed, count=counts[index % len(counts)]) for index in range(n)]


@cache
def _crops() -> tuple[np.ndarray, np.ndarray]:
    """Cut the held-out crops: pixels and the number of each one's subject."""
    rng = np.random.default_rng(HELD_OUT_SEED)
    truth = np.repeat(np.arange(len(SUBJECTS)), CROPS_PER_PHOTOGRAPH)
    photographs = read_photographs()
    return np.stack([crop(photographs[n], rng, held_out=True) for n in truth]), truth


def _row(measure: str, right: np.ndarray, share: float, chance: float, majority: float) -> dict:
    low, high = interval(share, len(right))
    return {
        "measure": measure,
        "pictures": len(right),
        "accuracy": share,
        "low": low,
        "high": high,
        "chance": chance,
        "majority": majority,
    }


def compare(measure: str, values: Sequence[str], truth: np.ndarray, logits: np.ndarray) -> tuple:
    """Compare answers with the truth: a row of the evaluation, and the recall of each value.

    The accuracy is the mean of the recalls, so that it is what balanced classes would give.

    Parameters
    ----------
    measure : str
        Name of the row.
    values : sequence of str
        What the answers choose between.
    truth : numpy.ndarray of int, (pictures,)
        Number of the true value.
    logits : numpy.ndarray, pictures × values

    Returns
    -------
    dict, list of dict
        As of `zero_shot`.
    """
    right = logits.argmax(1) == truth
    shares = np.bincount(truth, minlength=len(values)) / len(truth)
    rows = [
        {
            "measure": measure,
            "value": values[number],
            "pictures": int((truth == number).sum()),
            "recall": right[truth == number].mean(),
        }
        for number in np.unique(truth)
    ]
    accuracy = np.mean([row["recall"] for row in rows])
    return _row(measure, right, accuracy, 1 / len(values), shares.max()), rows


def zero_shot(encoders: Encoders, name: str, drawn: list[Scene], images: np.ndarray) -> tuple:
    """Name a property of every picture by the nearest of its prompts."""
    row = PROPERTIES[name]
    prompts = encoders.prompts(
        [row.write(template, value) for value in row.values] for template in row.held_out
    )
    truth = np.array([row.values.index(value_of(picture, name)) for picture in drawn])
    return compare(name, row.values, truth, images @ prompts.T)


def photograph_crops(encoders: Encoders) -> tuple:
    """Name the photograph that a held-out crop is from; returns as `zero_shot` does."""
    pixels, truth = _crops()
    prompts = encoders.prompts(
        [template.format(subject) for subject in SUBJECTS] for template in HELD_OUT_PHOTO_PROMPTS
    )
    return compare("photograph", SUBJECTS, truth, encoders.images(pixels) @ prompts.T)


def by_combination(encoders: Encoders, images: np.ndarray) -> list[dict]:
    """Measure shape and colour apart on combinations seen in training and on new ones."""
    drawn, rows = _scenes("object"), []
    looks = [(item.objects[0]["shape"], item.objects[0]["colour"]) for item in drawn]
    new = np.array([look in HELD_OUT_COMBINATIONS for look in looks])
    for name in ("shape", "colour"):
        for kind, chosen in (("seen", np.flatnonzero(~new)), ("new", np.flatnonzero(new))):
            row, _ = zero_shot(encoders, name, [drawn[n] for n in chosen], images[chosen])
            rows.append(row | {"measure": f"{name}, {kind} combination"})
    return rows


def retrieval(encoders: Encoders, images: np.ndarray) -> list[dict]:
    """Find the picture of a full caption, and the caption of a picture, among `GALLERY`."""
    texts = [item.full_caption for item in _scenes("scene")]
    shape = (-1, GALLERY, images.shape[1])
    similarity = encoders.texts(texts).reshape(shape) @ images.reshape(shape).mT
    result = {
        "text to image, recall@1": similarity.argmax(2),
        "image to text, recall@1": similarity.argmax(1),
    }
    truth = np.arange(GALLERY)
    return [
        _row(name, (best == truth).ravel(), (best == truth).mean(), 1 / GALLERY, 1 / GALLERY)
        for name, best in result.items()
    ]


def exchange(picture: Scene) -> tuple[dict, dict] | None:
    """Find two objects of a scene whose colours can be exchanged to give a false caption."""
    for first, second in combinations(picture.objects, 2):
        crossed = {(first["shape"], second["colour"]), (second["shape"], first["colour"])}
        if not crossed & {(item["shape"], item["colour"]) for item in picture.objects}:
            return first, second
    return None


def binding(encoders: Encoders, drawn: list[Scene], images: np.ndarray) -> dict:
    """Choose between "a red star and a blue circle" and "a blue star and a red circle"."""
    pairs = {index: exchange(picture) for index, picture in enumerate(drawn)}
    pairs = {index: pair for index, pair in pairs.items() if pair}
    captions = {True: [], False: []}
    for opening, (first, second) in enumerate(pairs.values()):
        shapes = [{"shape": item["shape"]} for item in (first, second)]
        colours = [{"colour": item["colour"]} for item in (first, second)]
        for right, order in ((True, colours), (False, colours[::-1])):
            claims = [shape | colour for shape, colour in zip(shapes, order, strict=True)]
            captions[right].append(sentence({}, claims, opening, held_out=True))
    shown = images[list(pairs)]
    right = np.einsum(
        "if,if->i", shown, encoders.texts(captions[True]) - encoders.texts(captions[False])
    )
    return _row("colour–shape binding", right > 0, (right > 0).mean(), 0.5, 0.5)


def measure(encoders: Encoders) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure everything.

    Parameters
    ----------
    encoders : Encoders
        The model.

    Returns
    -------
    evaluation : pandas.DataFrame
        A row per measure: measure, pictures, accuracy, low and high (95 %), chance, majority.
    recall : pandas.DataFrame
        A row per value of each zero-shot measure: measure, value, pictures, recall.
    """
    sets = {of: _scenes(of) for of in ("object", "scene")}
    images = {of: encoders.images(pixels_of(drawn)) for of, drawn in sets.items()}
    named = [
        zero_shot(encoders, name, sets[row.of], images[row.of]) for name, row in PROPERTIES.items()
    ]
    named.append(photograph_crops(encoders))
    evaluation = [row for row, _ in named]
    evaluation += by_combination(encoders, images["object"])
    evaluation += retrieval(encoders, images["scene"])
    evaluation.append(binding(encoders, sets["scene"], images["scene"]))
    return pd.DataFrame(evaluation), pd.DataFrame([row for _, rows in named for row in rows])


def validate(encoders: Encoders) -> dict[str, float]:
    """Measure the accuracies in short, on scenes of neither training nor test."""
    sets = {of: _scenes(of, VALIDATION_SCENES, VALIDATION_SEED) for of in ("object", "scene")}
    images = {of: encoders.images(pixels_of(drawn)) for of, drawn in sets.items()}
    result = {
        name: zero_shot(encoders, name, sets[row.of], images[row.of])[0]["accuracy"]
        for name, row in PROPERTIES.items()
    }
    result["binding"] = binding(encoders, sets["scene"], images["scene"])["accuracy"]
    return {name: round(float(accuracy), 4) for name, accuracy in result.items()}


def as_markdown(table: pd.DataFrame) -> str:
    """Write a table for the model card, shares as percentages with one decimal."""
    shares = table.select_dtypes("float").columns
    cells = table.assign(**{name: table[name].map("{:.1%}".format) for name in shares})
    rows = [list(table.columns), ["---"] * table.shape[1], *cells.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--checkpoint", help="step of training (default: the final weights)")
    parser.add_argument("--folder", type=Path, help="where the tables go; default: the model's")
    chosen = parser.parse_args()
    evaluation, recall = measure(Encoders(*build(chosen.name, chosen.checkpoint)))
    evaluation["untrained"] = measure(untrained(chosen.name))[0]["accuracy"]
    tables = {"evaluation": evaluation.round(4), "recall": recall.round(4)}
    for name, table in tables.items():
        table.to_csv((chosen.folder or folder(chosen.name)) / f"{name}.csv", index=False)
        print(as_markdown(table), end="\n\n")


if __name__ == "__main__":
    main()
