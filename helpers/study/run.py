"""A run: images, views and a model, with arrays that are read or else computed."""

import hashlib
import json
import os
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from filelock import FileLock
from tqdm import tqdm

from helpers.analysis.labels import UNKNOWN, fill_properties
from helpers.checks import WorkbookError, one_of
from helpers.clip import weights
from helpers.data import VIEWS, Images, UnreadableImage, open_images, views
from helpers.data.texts import Texts, open_texts
from helpers.study.arrays import Arrays
from helpers.study.parameters import OUTPUTS, Parameters, profile_of
from helpers.study.stamps import stamp_outputs
from helpers.study.steps import STEPS, Step
from helpers.study.texts import embedded_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from helpers.clip import Model

# Raised when the same parameters give other values than before, so that old arrays are not read.
ARRAYS_VERSION = 3
REPORTED_VERSIONS = ("torch", "open_clip_torch", "albumentations", "numpy", "scipy")


class Run:
    """What a notebook works with: the images, views, arrays, tables and figures of one run.

    Parameters
    ----------
    parameters : Parameters

    Attributes
    ----------
    images : Images
    texts : Texts
        The pool of texts that heads and shifts are read with.
    folder : Path
        Where all results of the run are.
    identity : dict
        What the values of its arrays depend on.

    Raises
    ------
    WorkbookError
        If the images, texts or weights can't be had, the folder holds another run, or it can't be
        written.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        _check_device(parameters.device)
        subset = parameters.seed if parameters.limit is not None else None
        self.images: Images = open_images(parameters.sources, parameters.limit, subset)
        self._weights = weights.locate(parameters.model, parameters.pretrained)
        self.texts = open_pool(parameters)
        self.identity = _identity(parameters, self.images, weights.fingerprint(self._weights))
        self.folder = _folder(parameters, self.identity)
        self._by_id = {image.id: image for image in self.images}
        _check_any_readable(self.images)
        _make_folders(self.folder)
        with self._lock:
            self._arrays = Arrays(self.folder / "arrays.zarr", self.identity, self._coordinates())
            self._record(
                parameters=asdict(parameters),
                identity=self.identity,
                versions=_installed_versions(),
            )

    @cached_property
    def _lock(self) -> FileLock:
        # One process at a time computes and records; another one waits and then finds it done.
        return FileLock(self.folder / "arrays.lock")

    @cached_property
    def model(self) -> "Model":
        """The model, loaded when it is first asked for."""
        from helpers.clip import load

        given = self.parameters
        return load(given.model, given.pretrained, given.device, given.precision)

    @property
    def title(self) -> str:
        """How results name the model, such as ``embedded model``."""
        return weights.title(self.parameters.model, self.parameters.pretrained)

    def views(self, image_id: str) -> dict[str, np.ndarray]:
        """Draw the views of one image; see `helpers.data.views`."""
        return self._draw(self._by_id[one_of("image", image_id, self._by_id)])

    def encodings(self) -> xr.Dataset:
        """Return every readable image's encoded views, computing what is missing.

        Returns
        -------
        Dataset
            ``embedding`` (image, view, feature), float32, not normalised, and ``attention`` (image,
            view, row, column), float32, unscaled.
        """
        return self._get("encode", ["embedding", "attention"])

    def contributions(self) -> xr.Dataset:
        """Return what the originals' embeddings are the sum of, computing what is missing.

        Returns
        -------
        Dataset
            ``heads`` (image, layer, head, feature), float16: contributions of the heads of the last
            layers, as many as the parameter ``layers`` says. ``parts`` (image, part, feature),
            float32: class token, attention and MLP of every layer, and constant; their sum is the
            embedding.
        """
        return self._get("encode", ["heads", "parts"])

    def dissection(self) -> xr.Dataset:
        """Return every image's account of its nine shifts, computing what is missing.

        Returns
        -------
        Dataset
            ``shares`` (image, augmentation, component), as of `helpers.analysis.dissection.shares`;
            ``patch_shares`` (image, augmentation, row, column), the share of what all heads read
            from a patch; ``depth_similarity`` (image, augmentation, depth), the cosine similarity
            of original and augmented class token, read out before the first block (``start``) and
            after each.
        """
        return self._get("encode", ["shares", "patch_shares", "depth_similarity"])

    def pixel_change(self) -> xr.DataArray:
        """Return how much each augmentation changed pixels, (image, augmentation).

        The root mean square of `helpers.analysis.scores.pixel_change`.
        """
        return self._get("change")["pixel_change"]

    def text_embeddings(self) -> xr.DataArray:
        """Return the normalised embeddings of the pool's texts, computing them when missing.

        Returns
        -------
        DataArray, (text, feature)
            float32; the coordinate ``property`` has the texts' properties, "" where untagged, and
            ``value`` what each names.
        """
        return self._embedded(self.texts, "texts.zarr")

    def named_texts(self) -> xr.DataArray:
        """Return the pool's embeddings, with a property for every text.

        A text without one gets that of the nearest text of the pool that suits the model.

        Returns
        -------
        DataArray, (text, feature)
            As of `text_embeddings`.
        """
        texts = self.text_embeddings()
        if (texts["property"] != UNKNOWN).all():
            return texts
        return fill_properties(texts, self._embedded(_own_pool(self.parameters), "own_texts.zarr"))

    def variant(self, name: str, **changes: object) -> "Run":
        """Open the run of the same images with other parameters, in a folder below this one.

        Parameters
        ----------
        name : str
            Its folder, such as ``severities/2``.
        **changes
            Parameters that differ. Where none does, the run itself is returned.

        Returns
        -------
        Run
        """
        parameters = replace(self.parameters, **changes)
        if parameters == self.parameters:
            return self
        return Run(replace(parameters, out=str(self.folder / name)))

    def scores(self) -> xr.Dataset:
        """Return every readable image's six scores, computing what is missing.

        Returns
        -------
        Dataset
            One variable (image, augmentation), float64, for each row of
            `helpers.analysis.scores.SCORES`.
        """
        self._get("encode", ["embedding"])
        return self._get("score")

    @property
    def unreadable(self) -> pd.DataFrame:
        """Images that could not be read, with reasons; they are in no mean and in no n."""
        self._get("encode", ["embedding"])
        reasons = self.record.get("unreadable", {})
        return pd.DataFrame(reasons.items(), columns=["image", "reason"])

    @property
    def record(self) -> dict:
        """What ``run.json`` says: parameters, identity, versions, timings, unreadable images."""
        path = self.folder / "run.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    @property
    def timings(self) -> dict[str, dict[str, float]]:
        """Step → images and seconds, as measured when the step was computed."""
        return self.record.get("timings", {})

    def save_table(self, table: pd.DataFrame, name: str) -> None:
        """Write a table to ``tables/<name>.csv`` of the run's folder."""
        table.to_csv(self.folder / "tables" / f"{name}.csv")

    def save_figure(self, figure: "Figure", name: str, source: str | None = None) -> None:
        """Sign a figure with what it shows and write it to ``figures/<name>.png``.

        Parameters
        ----------
        figure : Figure
        name : str
            Starts with the notebook's number.
        source : str, optional
            Where the figure's data come from, if not from the run's model alone.
        """
        # A figure that is sent on alone still says which model it shows.
        figure.text(1, 0, source or self.title, ha="right", va="top", fontsize=8, color="#777777")
        figure.savefig(self.folder / "figures" / f"{name}.png")

    def _embedded(self, texts: Texts, name: str) -> xr.DataArray:
        with self._lock:
            # The model is loaded only where embeddings are missing.
            encode = lambda missing: self.model.encode_text(missing)  # noqa: E731
            return embedded_texts(self.folder / name, texts, encode)

    def _coordinates(self) -> dict[str, tuple[str, list[str]]]:
        return {
            "image": ("image", self.images.ids),
            "source": ("image", [image.source for image in self.images]),
            "view": ("view", list(VIEWS)),
            "augmentation": ("augmentation", list(VIEWS[1:])),
        }

    def _draw(self, image) -> dict[str, np.ndarray]:
        return views(image.pixels, image.id, self.parameters.seed, self.parameters.severity)

    def _get(self, name: str, variables: Sequence[str] | None = None) -> xr.Dataset:
        step = STEPS[name]
        with self._lock:
            missing = self._missing(step)
            if len(missing):
                self._fill(step, missing)
        return self._arrays.read(name, variables or step.fills)

    def _missing(self, step: Step) -> np.ndarray:
        unreadable = self.record.get("unreadable", {})
        known = np.array([image in unreadable for image in self.images.ids])
        return np.flatnonzero(~(self._arrays.done(step.name) | known))

    def _fill(self, step: Step, missing: np.ndarray) -> None:
        size = self.parameters.batch_size
        batches = [missing[start : start + size] for start in range(0, len(missing), size)]
        self._arrays.allocate(step.name, step.variables(self), size)
        progress = tqdm(total=len(missing), desc=step.title, unit="image", leave=False)
        with ThreadPoolExecutor(self.parameters.workers) as pool, progress:
            started = time.perf_counter()
            for rows, drawn, unreadable in self._drawn_ahead(pool, batches):
                values = self._computed(step, rows, drawn) if len(rows) else {}
                # Told before the batch is done: a kill in between must not lose what is told.
                self._tell(step.name, len(rows), time.perf_counter() - started, unreadable)
                started = time.perf_counter()
                if len(rows):
                    self._arrays.write(step.name, rows, values)
                progress.update(len(rows) + len(unreadable))

    def _computed(self, step: Step, rows: np.ndarray, drawn: np.ndarray) -> dict[str, np.ndarray]:
        needed = {
            name: self._arrays.read(earlier.name, [name], rows)[name].values
            for earlier in STEPS.values()
            for name in set(earlier.fills) & set(step.needs)
        }
        return step.compute(self, drawn, needed)

    def _drawn_ahead(
        self, pool: Executor, batches: list[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray, dict[str, str]]]:
        # While one batch is computed, the workers draw the next; more would only fill the memory.
        waiting = deque()
        for rows in batches:
            waiting.append((rows, [pool.submit(self._try_draw, row) for row in rows]))
            if len(waiting) > 1:
                yield self._separated(*waiting.popleft())
        while waiting:
            yield self._separated(*waiting.popleft())

    def _try_draw(self, row: int) -> np.ndarray | UnreadableImage:
        try:
            return np.stack(list(self._draw(self.images[int(row)]).values()))
        except UnreadableImage as error:
            return error

    def _separated(
        self, rows: np.ndarray, futures: list[Future]
    ) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
        drawn = [future.result() for future in futures]
        failed = np.array([isinstance(views, UnreadableImage) for views in drawn])
        reasons = {self.images[int(rows[at])].id: str(drawn[at]) for at in np.flatnonzero(failed)}
        views = [views for views, bad in zip(drawn, failed, strict=True) if not bad]
        return rows[~failed], np.array(views), reasons

    def _record(self, **entries: object) -> None:
        path = self.folder / "run.json"
        partial = path.with_suffix(f".{os.getpid()}.partial")
        text = json.dumps(self.record | entries, indent=2, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(path)

    def _tell(self, step: str, images: int, seconds: float, unreadable: dict[str, str]) -> None:
        timings = self.timings
        before = timings.get(step, {"images": 0, "seconds": 0.0})
        after = {"images": before["images"] + images, "seconds": before["seconds"] + seconds}
        told = self.record.get("unreadable", {}) | unreadable
        self._record(timings=timings | {step: after}, unreadable=told)


def open_run(**parameters: object) -> Run:
    """Open the run of these parameters, reading what is on disk for them.

    Parameters
    ----------
    **parameters
        Every field of `Parameters`, as in the notebooks' parameters cell.

    Returns
    -------
    Run
    """
    for name in parameters:
        one_of("parameter", name, [field.name for field in fields(Parameters)])
    return Run(Parameters(**parameters))


def run_from(names: Mapping[str, object]) -> Run:
    """Open the run of a notebook's parameters cell.

    Parameters
    ----------
    names : mapping of str to object
        The notebook's ``globals()``, with every field of `Parameters`.

    Returns
    -------
    Run

    Raises
    ------
    WorkbookError
        If a parameter is missing: the parameters cell has not been run, or lacks it.
    """
    expected = [field.name for field in fields(Parameters)]
    if missing := [name for name in expected if name not in names]:
        raise WorkbookError(
            f"The parameters {', '.join(missing)} have no value; run the parameters cell, which"
            " gives one to each."
        )
    run = open_run(**{name: names[name] for name in expected})
    stamp_outputs(run.title)
    return run


def open_pool(parameters: Parameters) -> Texts:
    """Open the pool of texts that the parameters ask for.

    Parameters
    ----------
    parameters : Parameters

    Returns
    -------
    Texts
        Where none is named, the pool that suits the model.
    """
    return open_texts(parameters.texts) if parameters.texts else _own_pool(parameters)


def _own_pool(parameters: Parameters) -> Texts:
    return open_texts("scenes" if parameters.model == weights.EMBEDDED else "general")


def _check_device(device: str) -> None:
    if device != "auto":  # which needs no check, and so no torch
        from helpers.clip import devices

        devices.resolve(device)


def _identity(parameters: Parameters, images: Images, fingerprint: str) -> dict[str, object]:
    one_of("precision", parameters.precision, weights.PRECISIONS)
    return {
        "images": images.fingerprint,
        "seed": parameters.seed,
        "severity": parameters.severity,
        "model": parameters.model,
        "weights": fingerprint,
        "precision": weights.PRECISIONS[parameters.precision],
        "layers": parameters.layers,
        "albumentations": version("albumentations"),
        "version": ARRAYS_VERSION,
    }


def _folder(parameters: Parameters, identity: dict[str, object]) -> Path:
    if parameters.out is not None:
        return Path(parameters.out).expanduser().absolute()
    # Arrays don't depend on these two, but tables and figures do: they must not be overwritten.
    read_with = {"texts": parameters.texts, "compare": parameters.compare}
    key = hashlib.sha256(json.dumps(identity | read_with).encode()).hexdigest()[:8]
    profile = profile_of(parameters)
    if profile is None:
        return OUTPUTS / f"run-{key}"
    # The same profile after an upgrade, or with other files in its folder: another run.
    there = Arrays.identity_of(OUTPUTS / profile / "arrays.zarr")
    return OUTPUTS / (profile if there in (None, identity) else f"{profile}-{key}")


def _make_folders(folder: Path) -> None:
    try:
        for name in ("tables", "figures", "notebooks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise WorkbookError(
            f"The run can't be written to {folder}: {error.strerror}. Choose another folder with"
            " --out."
        ) from error


def _check_any_readable(images: Images) -> None:
    reason = ""
    for image in images:
        try:
            image.pixels  # noqa: B018
            return
        except UnreadableImage as error:
            reason = reason or str(error)
    raise WorkbookError(
        f"None of the {len(images)} images could be read; the first: {reason.rstrip('.')}. Give"
        " another source of images."
    )


def _installed_versions() -> dict[str, str]:
    return {package: version(package) for package in REPORTED_VERSIONS}
