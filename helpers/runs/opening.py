"""Opening a run: its images, texts and model are found, and its folder, record and arrays made."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Self

import pandas as pd

from helpers.checks import WorkbookError
from helpers.clip import names, weights
from helpers.clip.capabilities import Capabilities, capabilities
from helpers.data import STUDY, Images, Preprocessing, UnreadableImage, open_images
from helpers.data.changes import ORIGINAL
from helpers.data.texts import Texts, open_texts
from helpers.runs import paths
from helpers.runs.compute.originals import NONE_KEPT, Originals
from helpers.runs.identity import identity
from helpers.runs.parameters import ROOT, Parameters
from helpers.runs.record import code_version, installed_versions
from helpers.runs.storage.store import Store
from helpers.runs.variants import folders_below

if TYPE_CHECKING:
    from helpers.clip import Model


class OpenedRun:
    """A run's identity, folder, record and model; see `helpers.runs.run.Run`."""

    def __init__(
        self,
        parameters: Parameters,
        wanted: Sequence[str] | None = None,
        lender: Self | None = None,
    ):
        self.parameters = parameters
        _check_device(parameters.device)
        self.images = open_sources(parameters)
        fingerprint = weights.fingerprint(parameters.model, parameters.pretrained)
        self.texts = open_pool(parameters)
        self.changes = parameters.change_names
        self.identity = identity(parameters, self.images, fingerprint)
        self.folder = paths.folder(parameters, self.identity)
        _check_any_readable(self.images)
        paths.make_folders(self.folder)
        self._originals = self._shared_originals(lender)
        engine = lender and lender._store.engine
        of_run = (parameters, self.images, self.identity, self.folder)
        self._store = Store(*of_run, self._originals, wanted, engine)
        self._record = self._store.record
        with self._store.lock:
            self._store.open()
            self._write_record()

    def _shared_originals(self, lender: Self | None) -> Originals:
        if any(row.startswith("source ") for row in self.identity["own"]):
            return NONE_KEPT  # a user's source may give other pixels at any time
        shared = lender and lender.parameters.images == self.parameters.images
        return lender._originals if shared else Originals()

    def _write_record(self) -> None:
        self._record.update(
            parameters=self.parameters.model_dump() | {"out": _url_or_none(self.parameters.out)},
            made_in=self._made_in(),
            left_out={kind: list(left) for kind, left in self.images.left_out.items()},
            identity=self.identity,
            versions=installed_versions(),
            code=code_version(),
        )
        notebooks = [path.stem for path in paths.numbered_notebooks()]
        below = folders_below(self.parameters, len(self.images), notebooks)
        known = "notebooks" in self.record.get("progress", {})
        expected = {} if known else {"notebooks": dict.fromkeys(notebooks)}
        self._record.update_progress(images=self._store.progress(), below=below, **expected)

    def _made_in(self) -> list[str]:
        """List the folders, here and where the run was before, that its results may name."""
        here = [str(self.folder), str(ROOT), sys.prefix]
        return list(dict.fromkeys([*self.record.get("made_in", []), *here]))

    @property
    def title(self) -> str:
        """How results name the model, such as ``embedded model``."""
        return names.title(self.parameters.model, self.parameters.pretrained)

    @property
    def of_study(self) -> bool:
        """Whether the changes are the published study's, so that it can be compared with."""
        return self.changes == STUDY

    @property
    def view_names(self) -> tuple[str, ...]:
        """Names of the views: the original, then the changes."""
        return (ORIGINAL, *self.changes)

    @property
    def model(self) -> "Model":
        """The model, loaded when it is first asked for."""
        return self._store.engine.model

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """How images are brought to the size of views; the model is asked where it decides."""
        if (recorded := self.record.get("preprocessing")) is not None:
            return Preprocessing(**recorded)
        preprocessing = self._store.engine.preprocessing
        self._record.update(preprocessing=asdict(preprocessing))
        return preprocessing

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the model can give, as ``run.json`` says; see `find_capabilities`."""
        reasons = self.record.get("capabilities")
        if reasons is None:
            return self.find_capabilities()
        return Capabilities(self.parameters.model, reasons)

    def find_capabilities(self) -> Capabilities:
        """Ask the model's name what the model can give, and write it into ``run.json``.

        A notebook then needs no model to know it. Ask again where something may have changed, such
        as a tokenizer's file that wasn't on the machine.
        """
        self.capabilities = capabilities(self.parameters.model, self.parameters.pretrained)
        self._record.update(capabilities=dict(self.capabilities.reasons))
        return self.capabilities

    def require(self, question: str) -> None:
        """Raise a `WorkbookError` that says why, if the model can't answer a question."""
        if reason := self.capabilities.why_not(question):
            raise WorkbookError(reason)

    def compute(self) -> None:
        """Compute what is missing: a single pass over an image gives all that is kept of it."""
        self._store.compute()
        _ = self.preprocessing  # which is kept in the record

    @property
    def record(self) -> dict:
        """What ``run.json`` says: parameters, identity, versions, timings, unreadable images."""
        return self._record.read()

    @property
    def timings(self) -> dict[str, dict[str, float]]:
        """Part of the computation → images, and the seconds that it added to the run."""
        return self.record.get("timings", {})

    @property
    def unreadable(self) -> pd.DataFrame:
        """Images that could not be read, with reasons; they are in no mean and in no n."""
        self.compute()
        reasons = self.record.get("unreadable", {})
        return pd.DataFrame(reasons.items(), columns=["image", "reason"])

    def report_damage(self, sentence: str) -> None:
        """Report damage to the user, and keep the sentence in ``run.json``."""
        self._record.report_damage(sentence)

    def variant(self, name: str, wanted: Sequence[str] | None = None, **changes: object) -> Self:
        """Open the run of the same images with other parameters, in a folder below this one.

        Parameters
        ----------
        name : str
            Its folder, such as ``severities/2``.
        wanted : sequence of str, optional
            The variables that will be read of it, so that no others are computed.
        **changes
            Parameters that differ. Where none does, the run itself is returned.

        Returns
        -------
        Run
        """
        parameters = self.parameters.replace(**changes)
        if parameters == self.parameters:
            return self
        out = paths.below(self.parameters.out, self.folder, name)
        return type(self)(parameters.replace(out=out), wanted, self)


def open_sources(parameters: Parameters) -> Images:
    """Open the images that the parameters ask for."""
    subset = parameters.seed if parameters.limit is not None else None
    return open_images(parameters.sources, parameters.limit, subset)


def open_pool(parameters: Parameters) -> Texts:
    """Open the pool of texts that the parameters ask for."""
    return open_texts(parameters.texts) if parameters.texts else default_pool(parameters)


def default_pool(parameters: Parameters) -> Texts:
    """Open the pool of texts that suits the parameters' model."""
    return open_texts("scenes" if names.is_embedded(parameters.model) else "general")


def _url_or_none(out: str | None) -> str | None:
    # A folder is where its run.json lies, also when it is moved; the arrays of a URL are there.
    return out if out is not None and paths.is_url(out) else None


def _check_device(device: str) -> None:
    if device != "auto":  # which needs no check, and so no torch
        from helpers.clip import devices

        devices.resolve(device)


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
