"""Speed, as ratios of times measured in turn: ``make bench``, or ``make bench ARGS="a d"``.

The table is kept in ``outputs/bench/``; a row that is measured again replaces its old one.
"""

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import albumentations as A
import numpy as np
import pandas as pd
import torch
from PIL import Image as pillow
from torch.utils.flop_counter import FlopCounterMode

from helpers.analysis.labels import textspan
from helpers.analysis.proximity import nearest
from helpers.analysis.scores import SCORES
from helpers.clip import load
from helpers.clip.decomposition import Encoding
from helpers.clip.forward import forward
from helpers.clip.model import Model
from helpers.cores import cores
from helpers.data import SIZE, STUDY, Image, open_images, views
from helpers.data.transforms import TRANSFORMS
from helpers.runs.parameters import OUTPUTS, Parameters, from_profile
from helpers.runs.run import Run
from tests.materialised import contributions
from tests.published_way import hugging_face_clip, study_image
from tests.reference_textspan import plain_textspan

MODELS = ("embedded", "ViT-B-32", "ViT-B-16")
TOWERS = (*MODELS, "ViT-B-16-SigLIP", "EVA02-B-16")
SIZED = (*MODELS, "ViT-L-14")
VIEWS_AT_ONCE = 30
PUBLISHED_IMAGES = 13_312
PIXELS = np.random.default_rng(0).integers(0, 256, (VIEWS_AT_ONCE, 224, 224, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes
    ----------
    row : str
        Its letter.
    what : str
        What is measured, and against what.
    unit : str
        ``×``: how many times faster ours is; or another.
    median, low, high : float
        Over rounds.
    rounds : int
    """

    row: str
    what: str
    unit: str
    median: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Options:
    """What is measured: rounds, and the images, models and counts of the rows that need some.

    Without models, a row takes its own.
    """

    rounds: int
    images: str
    models: Sequence[str]
    counts: Sequence[int]


def line(row: str, what: str, values: Sequence[float], unit: str = "×") -> Line:
    """Summarise the rounds of a measurement."""
    return Line(row, what, unit, median(values), min(values), max(values), len(values))


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    started = perf_counter()
    function()
    return perf_counter() - started


def times_faster(
    ours: Callable[[], object], other: Callable[[], object], rounds: int, scale: float = 1.0
) -> list[float]:
    """Time two functions in turn; how many times faster ours is, round by round."""
    ours(), other()
    return [scale / seconds(ours) * seconds(other) for _ in range(rounds)]


def plain(model: Model, tensors: torch.Tensor) -> None:
    """Run open_clip's `encode_image`, and nothing else."""
    with torch.inference_mode(), model._autocast():
        model.clip.encode_image(tensors)


def decompose(model: Model) -> None:
    """Run our pass, and form the contributions of all heads and MLPs."""
    model.encode(PIXELS).total()


def decompose_alike(model: Model) -> None:
    """Do the same in the kernels of `encode_image`, all images at once."""
    with torch.inference_mode():
        parts = forward(model.tower, model._normalised(PIXELS))
        Encoding(parts, model._readout).total()


def parts_of(images: Sequence[Image], rounds: int) -> list[list[Image]]:
    """Share images out to rounds, so that together they cover all."""
    return [list(images[start::rounds]) for start in range(min(rounds, len(images)))]


def the_pass(options: Options) -> Iterator[Line]:
    """(a) Embedding, attention and all contributions against the embedding alone."""
    what = "pass with contributions / encode_image"
    for name in options.models or TOWERS:
        for precision in ("float32", "bfloat16"):
            model = load(name, device="cpu", precision=precision)
            other = partial(plain, model, model._normalised(PIXELS))
            found = times_faster(partial(decompose, model), other, options.rounds)
            yield line("a", f"{what}, {name}, {precision}", found)
            if precision == "float32":
                found = times_faster(partial(decompose_alike, model), other, options.rounds)
                yield line("a", f"{what}, {name}, {precision}, both in the same kernels", found)


def whole_study(options: Options) -> Iterator[Line]:
    """(b) Files to arrays against `encode_image` on ready tensors; each round on other images."""
    images = open_images(options.images)
    for name in options.models or MODELS:
        model = load(name, device="cpu")
        study_seconds(images[:1], model=name)
        parts = parts_of(images, options.rounds)
        found = [study_against_plain(model, name, part) for part in parts]
        ratios, rates = zip(*found, strict=True)
        of = f"{name}, float32, {len(images)} images"
        yield line("b", f"whole study / encode_image alone, {of}", ratios)
        yield line("b", f"whole study, {of}", rates, "views/s")


def study_against_plain(model: Model, name: str, images: list[Image]) -> tuple[float, float]:
    """Time `encode_image` on ready tensors, then the study of the same images; also its rate."""
    drawn = [list(views(image.pixels, image.id).values()) for image in images]
    pixels = np.array(drawn).reshape(-1, 224, 224, 3)
    tensors = model._normalised(pixels).split(VIEWS_AT_ONCE)
    plain(model, tensors[0])
    other = sum(seconds(partial(plain, model, batch)) for batch in tensors)
    count = len(pixels)
    del drawn, pixels, tensors
    ours = study_seconds(images, model=name)
    return other / ours, count / ours


def study_seconds(images: Sequence[Image], **parameters: object) -> float:
    """Time the study of some images, without loading the model."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "images")
        own.mkdir()
        for image in images:
            copy_to(own, image)
        run = Run(small_study(images=str(own), out=f"{folder}/run", **parameters))
        run.model  # noqa: B018
        return seconds(run.compute)


def copy_to(folder: Path, image: Image) -> None:
    """Copy the file of an image into a folder; of one that has none, its pixels."""
    if image.path is None:
        pillow.fromarray(image.pixels).save(folder / f"{image.id}.png")
    else:
        shutil.copy(image.path, folder)


def small_study(**parameters: object) -> Parameters:
    """Parameters of a run on the processor that is compared with nothing."""
    return from_profile("quick", {"device": "cpu", "compare": [], **parameters})


def published_way(options: Options) -> Iterator[Line]:
    """(c) The whole study against the published one's way, on ViT-B/32; other images each round."""
    reference = hugging_face_clip()
    images = open_images(options.images)[: 2 * options.rounds]
    study_image(reference, images[0])
    for precision in ("float32", "bfloat16"):
        given = {"model": "ViT-B-32", "precision": precision}
        study_seconds(images[:1], **given)
        found = [
            seconds(lambda part=part: [study_image(reference, image) for image in part])
            / study_seconds(part, **given)
            for part in parts_of(images, options.rounds)
        ]
        yield line("c", f"whole study / the published way, ViT-B-32, {precision}", found)


def materialised(options: Options) -> Iterator[Line]:
    """(d) All contributions against a decomposition that forms every summand, one image a time."""
    for name in (name for name in options.models or MODELS if name != "embedded"):
        model = load(name, device="cpu")
        one = model._normalised(PIXELS[:1])
        found = times_faster(
            partial(decompose, model),
            partial(contributions, model.clip.visual, one),
            options.rounds,
            scale=len(PIXELS),
        )
        yield line("d", f"pass with contributions / every summand formed, {name}", found)


def heads_and_neighbours(options: Options) -> Iterator[Line]:
    """(e) TEXTSPAN against the paper's algorithm; a search against sorting all."""
    rng = np.random.default_rng(0)
    count, timed = 48, 2
    outputs = rng.standard_normal((count, 2000, 64)) * rng.exponential(size=(count, 1, 64))
    heads = (outputs @ rng.standard_normal((count, 64, 512))).astype(np.float32)
    texts = rng.standard_normal((3000, 512)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    found = times_faster(
        lambda: textspan(heads, texts, k=20, rank=64),
        lambda: [plain_textspan(head, texts, k=20, rank=64) for head in heads[:timed]],
        options.rounds,
        scale=count / timed,
    )
    what = "TEXTSPAN / the paper's algorithm, 48 heads × 2,000 images × 3,000 texts"
    yield line("e", f"{what} (the other timed on {timed} heads)", found)
    head, query = rng.normal(size=(PUBLISHED_IMAGES, 512)).astype(np.float32), rng.normal(size=512)
    query = query.astype(np.float32)
    found = times_faster(
        lambda: nearest(head, query, 8),
        lambda: np.argsort(-(head @ query))[:8],
        options.rounds,
    )
    yield line("e", "8 neighbours in 13,312 images × 512 features / with a full sort", found)


PEAK = """
import resource, sys
from time import perf_counter
from helpers.runs.run import Run
from tests.bench import small_study
count, out = int(sys.argv[1]), sys.argv[2]
run = Run(small_study(images=f"scenes:{count}", out=out))
run.model
started = perf_counter()
run.compute()
took = perf_counter() - started
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1000 * took / count)
"""


def peak_memory(options: Options) -> Iterator[Line]:
    """(f) Peak memory and time per image of a run of the embedded model on drawn scenes."""
    for count in options.counts:
        with tempfile.TemporaryDirectory() as folder:
            call = [sys.executable, "-c", PEAK, str(count), f"{folder}/run"]
            ended = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
        peak, took = map(float, ended.stdout.split())
        yield line("f", f"peak memory, embedded, {count:,} scenes", [peak], "MiB")
        yield line("f", f"time per image, embedded, {count:,} scenes", [took], "ms")


def share_of_peak(options: Options) -> Iterator[Line]:
    """(g) Arithmetic of `encode_image` that the pass gets done a second, of a product's peak."""
    one, other = torch.randn(1536, 3072), torch.randn(3072, 3072)
    products = 2 * one.shape[0] * one.shape[1] * other.shape[1]
    for name in options.models or MODELS:
        model = load(name, device="cpu")
        with FlopCounterMode(display=False) as counted:
            plain(model, model._normalised(PIXELS))
        found = times_faster(
            partial(decompose, model),
            partial(torch.matmul, one, other),
            options.rounds,
            scale=100 * counted.get_total_flops() / products,
        )
        yield line("g", f"share of the peak of float32 products, {name}", found, "%")


def bytes_per_image(options: Options) -> Iterator[Line]:
    """(h) What each array takes on disk, before compression."""
    from helpers.runs.compute.output_variables import OutputSpec, variables

    for name in SIZED:
        model = load(name, device="cpu")
        for each in variables(model, OutputSpec(small_study().layers, len(STUDY)), ["photos"]):
            size = np.dtype(each.dtype).itemsize * int(np.prod(each.lengths))
            yield line("h", f"array {each.name}, {name}", [size], f"bytes per {each.per}")


def effect_of_bfloat16(options: Options) -> Iterator[Line]:
    """(i) By how much bfloat16 changes the scores that a model has a part in."""
    for name in MODELS[:2]:
        scores = []
        for precision in ("float32", "bfloat16"):
            with tempfile.TemporaryDirectory() as folder:
                given = {"images": "photos", "model": name, "precision": precision}
                scores.append(Run(small_study(out=f"{folder}/run", **given)).scores())
        for score in (score for score, row in SCORES.items() if row.needs != "pixels"):
            change = abs(scores[1][score] - scores[0][score]).values.ravel()
            yield line("i", f"change of {score} by bfloat16, {name}", list(change), "")


def on_a_gpu(options: Options) -> Iterator[Line]:
    """(j) Files to arrays on a GPU, at the size of the published study; nothing without one."""
    if not torch.cuda.is_available():
        return
    with tempfile.TemporaryDirectory() as folder:
        photographs(Path(folder, "images"), PUBLISHED_IMAGES)
        for name in options.models or MODELS[1:2]:
            given = {"images": f"{folder}/images", "out": f"{folder}/{name}", "model": name}
            run = Run(small_study(**given, device="cuda", batch_size=256))
            run.model  # noqa: B018
            rate = 10 * PUBLISHED_IMAGES / seconds(run.compute)
            what = f"whole study, {name}, {PUBLISHED_IMAGES:,} photographs"
            yield line("j", f"{what}, {torch.cuda.get_device_name()}", [rate], "views/s")


def photographs(folder: Path, count: int) -> None:
    """Write images of a photograph's size, detail and length as a JPEG file, about 60 kB."""
    folder.mkdir()
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(partial(write_photograph, folder), range(count)))


def write_photograph(folder: Path, number: int) -> None:
    """Write noise of four scales."""
    rng = np.random.default_rng(number)
    noise = (rng.integers(0, 256, (n, 4 * n // 3, 3), np.uint8) for n in (3, 12, 47, 188))
    layers = [np.asarray(pillow.fromarray(own).resize((500, 375))) for own in noise]
    photograph = np.average(layers, axis=0, weights=(4, 3, 2, 1)).astype(np.uint8)
    pillow.fromarray(photograph).save(folder / f"{number:05}.jpg", quality=90)


def drawing(options: Options) -> Iterator[Line]:
    """(k) Nine views of images on one core, against albumentations' transforms as they come."""
    images = [(image.id, image.pixels) for image in open_images(options.images)[:20]]
    ours = partial(draw_all, images, views)
    found = times_faster(ours, partial(draw_all, images, views_by_albumentations), options.rounds)
    yield line("k", f"nine views / albumentations, {len(images)} images", found)
    found = [1000 * seconds(ours) / len(images) for _ in range(options.rounds)]
    yield line("k", f"nine views of an image of {options.images}", found, "ms")


def draw_all(images: Sequence[tuple[str, np.ndarray]], draw: Callable) -> None:
    """Draw the views of all images, one after another."""
    for image_id, pixels in images:
        draw(pixels, image_id)


def views_by_albumentations(pixels: np.ndarray, image_id: str) -> list[np.ndarray]:
    """Draw the views as the study does: new transforms, called one after another."""
    resized = A.Resize(SIZE, SIZE)(image=pixels)["image"]
    studys = TRANSFORMS | {"elastic": lambda _: A.ElasticTransform(alpha=30, sigma=60, p=1)}
    made = [studys[name](1.0) for name in STUDY]
    for transform in made:
        transform.set_random_seed(zlib.crc32(image_id.encode()))
    return [resized, *(transform(image=resized)["image"] for transform in made)]


ROWS = {
    "a": the_pass,
    "b": whole_study,
    "c": published_way,
    "d": materialised,
    "e": heads_and_neighbours,
    "f": peak_memory,
    "g": share_of_peak,
    "h": bytes_per_image,
    "i": effect_of_bfloat16,
    "j": on_a_gpu,
    "k": drawing,
}


def keep(lines: Sequence[Line], row: str) -> None:
    """Write a row of the table, in place of what it was."""
    path = OUTPUTS / "bench" / "bench.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame([asdict(one) | machine() for one in lines])
    if path.exists():
        before = pd.read_csv(path)
        table = pd.concat([before[before["row"] != row], table]).sort_values("row", kind="stable")
    table.to_csv(path, index=False)


def machine() -> dict[str, object]:
    """Say what a line was measured on."""
    return {"processor": platform.machine(), "cores": torch.get_num_threads()}


def main() -> None:
    """Measure rows, print them and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", default="photos", help="a source with files, for b and c")
    parser.add_argument("--models", nargs="+", default=(), help="for a, b, d, g and j")
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 10_000], help="for f")
    given = parser.parse_args()
    options = Options(given.rounds, given.images, given.models, given.counts)
    for row in given.rows or ROWS:
        lines = []
        for one in ROWS[row](options):
            lines.append(one)
            print(
                f"({row}) {one.what}: {one.median:.3g} {one.unit}"
                f" ({one.low:.3g} to {one.high:.3g}, {one.rounds} rounds)",
                flush=True,
            )
        if lines:
            keep(lines, row)
        else:
            print(f"({row}) needs a GPU: not measured")


if __name__ == "__main__":
    main()
