"""The views that share a pass: drawn by whoever asks, or ahead by processes that feed a GPU."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_all_start_methods
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from helpers.data import CHANGES, Image, Preprocessing, UnreadableImage
from helpers.data.attacks import subject_of
from helpers.data.change import MODEL
from helpers.data.changes import ORIGINAL, changed
from helpers.runs.compute.originals import NONE_KEPT, Originals
from helpers.runs.parameters import Parameters

if TYPE_CHECKING:  # a notebook that only reads arrays need not load torch
    from torch import Tensor

AHEAD = 2  # passes that each process has ready


@dataclass(frozen=True)
class Batch:
    """Images whose values lie in one chunk of the arrays."""

    rows: np.ndarray  # their positions in the arrays, ascending
    images: list[Image]


@dataclass(frozen=True)
class Drawn:
    """The views of the images of a pass."""

    rows: list[int]  # positions of the readable images in the arrays
    ids: list[str]  # names of the same images
    # uint8, images × views × height × width × 3: the original first, and in place of views that
    # need the model; None where no image is readable
    pixels: "Tensor | None"
    contents: list[np.ndarray]  # what `content_of` gives of each
    unreadable: dict[str, str]  # image → reason
    seconds: float

    def pin_memory(self) -> "Drawn":
        """Move the pixels to memory that a GPU copies from without waiting."""
        return self if self.pixels is None else replace(self, pixels=self.pixels.pin_memory())


def draw(
    batch: Batch,
    parameters: Parameters,
    changes: Sequence[str],
    preprocessing: Preprocessing,
    classes: Sequence[str] = (),
    originals: Originals = NONE_KEPT,
) -> Drawn:
    """Read the images of a pass, and draw all their views but those that need the model.

    Changes are read from the parameters once, when a run begins: to read them again would take up
    what has meanwhile been changed in the file that registers them.
    """
    started = perf_counter()
    plain = [name for name in changes if CHANGES[name].needs != MODEL]
    drawn, contents, unreadable = {}, [], {}
    for row, image in zip(batch.rows.tolist(), batch.images, strict=True):
        try:
            original = originals.read(image, preprocessing)
        except UnreadableImage as error:
            unreadable[image.id] = str(error)
            continue
        how = (image.id, parameters.seed, parameters.severity)
        subject = subject_of(image, classes)
        by_name = {n: changed(original.pixels, n, *how, subject=subject) for n in plain}
        pixels = [by_name.get(name, original.pixels) for name in (ORIGINAL, *changes)]
        drawn[row, image.id] = np.stack(pixels)
        contents.append(original.content)
    import torch

    together = torch.from_numpy(np.stack(list(drawn.values()))) if drawn else None
    rows, ids = ([place[part] for place in drawn] for part in (0, 1))
    return Drawn(rows, ids, together, contents, unreadable, perf_counter() - started)


class _Passes:
    def __init__(self, passes: Sequence[Batch], *options: object):
        self._passes, self._options = passes, options

    def __len__(self) -> int:
        return len(self._passes)

    def __getitem__(self, number: int) -> Drawn:
        return draw(self._passes[number], *self._options)


def _begin_process(_: int) -> None:
    from helpers.runs.compute.worker_pool import limit_others

    limit_others()


def drawn_by_processes(
    passes: Sequence[Batch],
    parameters: Parameters,
    changes: Sequence[str],
    preprocessing: Preprocessing,
    classes: Sequence[str],
    processes: int,
) -> Iterator[Drawn]:
    """Draw passes ahead, in processes of their own, in memory that a GPU copies from."""
    import torch
    from torch.utils.data import DataLoader

    from helpers.runs.compute.worker_pool import others_limited

    loader = DataLoader(
        _Passes(passes, parameters, changes, preprocessing, classes),
        batch_size=None,
        num_workers=processes,
        prefetch_factor=AHEAD,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_begin_process,
        # A copy of this process knows what users registered in it.
        multiprocessing_context="fork" if "fork" in get_all_start_methods() else None,
    )
    with others_limited():  # a copy would wait for threads of OpenCV's that only this process has
        return iter(loader)
