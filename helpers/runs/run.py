"""A run: images, views and a model, with arrays that are read or else computed."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import xarray as xr

from helpers.analysis.labels import UNKNOWN, fill_properties
from helpers.analysis.predictions import without
from helpers.analysis.specificity import merged_moments
from helpers.checks import WorkbookError, one_of
from helpers.data import CHANGES, Image
from helpers.data.attacks import Subject, subject_of
from helpers.data.change import MODEL
from helpers.data.changes import ORIGINAL, changed
from helpers.data.texts import MEMORISED, POOLS, Texts
from helpers.runs.compute.output_variables import outputs_of, scores_of
from helpers.runs.derived.zero_shot import embedded_texts
from helpers.runs.identity import CLASSES
from helpers.runs.opening import OpenedRun, default_pool
from helpers.runs.parameters import Parameters
from helpers.runs.paths import plain_models
from helpers.runs.report.provenance import stamp_outputs
from helpers.runs.report.results import Results


class Run(OpenedRun, Results):
    """What a notebook works with: the images, views, arrays, tables and figures of one run.

    Parameters
    ----------
    parameters : Parameters
    wanted : sequence of str, optional
        Names of the variables that are computed before any other is read; by default all.
    lender : Run, optional
        One of the same images or with the same model: images are read once for both, and the model
        is loaded once.

    Attributes
    ----------
    images : Images
    texts : Texts
        The pool of texts that heads and shifts are read with.
    changes : tuple of str
        Names of the changes, in their order.
    folder : Path
        Where all results of the run are; its arrays are elsewhere if ``out`` is a URL.
    identity : dict
        What the values of its arrays depend on.

    Raises
    ------
    WorkbookError
        If the images, texts or weights can't be had, the folder holds another run, or it can't be
        written.
    """

    @cached_property
    def _by_id(self) -> dict[str, Image]:
        return {image.id: image for image in self.images}

    def views(
        self,
        image_id: str,
        changes: Sequence[str] | None = None,
        severity: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Draw the views of one image, or those of some changes; see `helpers.data.views`.

        Those that need the model are drawn once, and read from the run's folder from then on.
        """
        image = self._by_id[one_of("image", image_id, self._by_id)]
        severity = self.parameters.severity if severity is None else severity
        chosen = self.changes if changes is None else changes
        original = self._originals.read(image, self.preprocessing).pixels.copy()
        return {ORIGINAL: original} | {
            name: self._view(original, name, image, severity) for name in chosen
        }

    def _view(self, original: np.ndarray, name: str, image: Image, severity: float) -> np.ndarray:
        if CHANGES[name].needs == MODEL:
            return self._store.drawn_views.view(original, name, image.id, severity)
        subject = self.subject(image.id)
        return changed(original, name, image.id, self.parameters.seed, severity, subject=subject)

    def subject(self, image_id: str) -> Subject:
        """Return what changes may know of an image beside its pixels."""
        image = self._by_id[one_of("image", image_id, self._by_id)]
        return subject_of(image, self.identity.get(CLASSES, ()))

    def encodings(self, *names: str) -> xr.Dataset:
        """Return every readable image's encoded views, computing what is missing.

        Parameters
        ----------
        *names : str
            Of the variables; by default all that the model gives.

        Returns
        -------
        Dataset
            ``embedding`` (image, view, feature), float32, not normalised, and ``attention`` (image,
            view, row, column), float32, unscaled; no ``attention`` where the model gives none.
        """
        outputs = {row.name for row in outputs_of(self.capabilities)}
        return self._store.read(names or [n for n in ("embedding", "attention") if n in outputs])

    def contributions(self, *names: str) -> xr.Dataset:
        """Return what the originals' embeddings are the sum of, computing what is missing.

        Parameters
        ----------
        *names : str
            Of the variables; by default both.

        Returns
        -------
        Dataset
            ``heads`` (image, layer, head, feature), float16: contributions of the heads of the last
            layers, as many as the parameter ``layers`` says. ``parts`` (image, part, feature),
            float32: class token, attention and MLP of every layer, and constant; their sum is the
            embedding, beside a ``pool``'s own MLP where the model has one.

        Raises
        ------
        WorkbookError
            If the model gives no exact account.
        """
        self.require("account")
        return self._store.read(names or ["heads", "parts"])

    def dissection(self, *names: str) -> xr.Dataset:
        """Return every image's account of its shifts, computing what is missing.

        Parameters
        ----------
        *names : str
            Of the variables; by default both.

        Returns
        -------
        Dataset
            ``shares`` (image, augmentation, component), as of `helpers.analysis.dissection.shares`;
            ``patch_shares`` (image, augmentation, row, column), the share of what all heads read
            from a patch.

        Raises
        ------
        WorkbookError
            If the model gives no exact account.
        """
        self.require("account")
        return self._store.read(names or ["shares", "patch_shares"])

    def neurons(self) -> xr.Dataset:
        """Return the account of the shifts down to neurons, computing what is missing.

        Returns
        -------
        Dataset
            ``share`` and ``error`` (of_source, augmentation, depth, neuron), float64: the mean
            share of every neuron over the images of a source, and its standard error;
            ``largest_neurons`` (image, augmentation, largest), the positions among the neurons of
            all layers, one after the other, of those whose shares are largest in size;
            ``neurons_for_half`` (image, augmentation), the fewest whose shares make up half of all
            neurons' shares, in absolute size.

        Raises
        ------
        WorkbookError
            If the model gives no exact account of neurons.
        """
        self.require("neurons")
        names = ["largest_neurons", "neurons_for_half", "neuron_moments"]
        neurons, counts = self._store.read(names), self._store.counts()
        moments = merged_moments(neurons["neuron_moments"], counts)
        return neurons.drop_vars("neuron_moments").merge(moments)

    def pixel_change(self) -> xr.DataArray:
        """Return how much each augmentation changed pixels, (image, augmentation).

        The root mean square of `helpers.analysis.scores.pixel_change`.
        """
        return self._store.read(["pixel_change"])["pixel_change"]

    def text_embeddings(self) -> xr.DataArray:
        """Return the normalised embeddings of the pool's texts, computing them when missing.

        Returns
        -------
        DataArray, (text, feature)
            float32; the coordinate ``property`` has the texts' properties, "" where untagged, and
            ``value`` what each names.

        Raises
        ------
        WorkbookError
            If the model embeds no texts on this machine.
        """
        self.require("texts")
        return embedded_texts(self, self.texts)

    def named_texts(self) -> xr.DataArray:
        """Return the embeddings of the texts that heads are named with, each with a property.

        A text without one gets that of the nearest text of the pool that suits the model. The
        workbook's own pools are taken without captions of photographs that the embedded models were
        trained on: a head that varies with one of these has learnt a picture by heart, which says
        nothing of what it responds to.

        Returns
        -------
        DataArray, (text, feature)
            As of `text_embeddings`; positions of texts in what heads are named with are positions
            here.

        Raises
        ------
        WorkbookError
            As for `text_embeddings`.
        """
        texts = _without_memorised(self.text_embeddings(), self.texts)
        if (texts["property"] != UNKNOWN).all():
            return texts
        pool = default_pool(self.parameters)
        return fill_properties(texts, _without_memorised(embedded_texts(self, pool), pool))

    def scores(self) -> xr.Dataset:
        """Return every readable image's scores, computing what is missing.

        Returns
        -------
        Dataset
            One variable (image, augmentation), float64, for each row of
            `helpers.analysis.scores.SCORES`; of attention maps, only where the model gives them.
        """
        return self._store.read(scores_of(self.capabilities, self._store.engine.spec.scores))


def _without_memorised(embeddings: xr.DataArray, pool: Texts) -> xr.DataArray:
    return without(embeddings, MEMORISED) if pool.name in POOLS else embeddings


def open_run(**parameters: object) -> Run:
    """Open the run of these parameters, reading what is on disk for them."""
    return Run(plain_models(Parameters(**parameters)))


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
        If a parameter is missing: the parameters cell has not been run, or has no such name.
    """
    expected = list(Parameters.model_fields)
    if missing := [name for name in expected if name not in names]:
        raise WorkbookError(
            f"The parameters {', '.join(missing)} have no value; run the parameters cell, which"
            " gives one to each."
        )
    run = open_run(**{name: names[name] for name in expected})
    stamp_outputs(run.title)
    return run
