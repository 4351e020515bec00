"""Panels: an analysis with controls beside it, whose picture is redrawn when one is changed.

The picture and a line with the choices are an ordinary output of the cell, below the controls. So
they are saved with the notebook, and a page rendered from it shows them without kernel or network;
the controls themselves come back when the cell is run again, set to the arguments of `panel`.
"""

import warnings
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from io import BytesIO
from itertools import chain, count
from types import MappingProxyType

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from matplotlib.figure import Figure

from helpers.checks import WorkbookError, one_of
from helpers.clip import names
from helpers.data.decode import decode
from helpers.figures.layout import describe
from helpers.interpret import analyses, changes, choices
from helpers.interpret.choices import ALL
from helpers.lab.elements import SPINNER, alert, shown
from helpers.runs.run import Run
from helpers.runs.variants import compared_models, compared_run

WITHOUT_KERNEL = "Run this cell in JupyterLab to choose."


@dataclass(frozen=True)
class Choice:
    """A control that offers values.

    Attributes
    ----------
    values : callable
        From a run to the values that it offers.
    differs : bool
        Whether another model has other values.
    """

    values: Callable[[Run], list]
    differs: bool = True

    def build(self, name: str, run: Run) -> widgets.Dropdown:
        """Make the widget, set to the first value."""
        return widgets.Dropdown(options=self.values(run), description=name)

    def renew(self, widget: widgets.Dropdown, run: Run) -> None:
        """Offer the values of another run; a value that it has too stays chosen."""
        if self.differs:
            chosen, widget.options = widget.value, self.values(run)
            if chosen in widget.options:
                widget.value = chosen


@dataclass(frozen=True)
class Words:
    """A control that takes a text.

    Attributes
    ----------
    place : int
        Which text of the run's pool it starts with.
    """

    place: int

    def build(self, name: str, run: Run) -> widgets.Text:
        """Make the widget; it reports a text when it is finished."""
        text = run.texts.texts[self.place]
        return widgets.Text(text, description=name, continuous_update=False)

    def renew(self, widget: widgets.Text, run: Run) -> None:
        """Leave the text: any model can be asked about it."""


@dataclass(frozen=True)
class Slider:
    """A control that is dragged from 0 to a number.

    Attributes
    ----------
    most : callable
        From a run to that number.
    step : float
    """

    most: Callable[[Run], float]
    step: float

    def build(self, name: str, run: Run) -> widgets.FloatSlider:
        """Make the widget, set to 1 as runs are by default; it reports every step."""
        return widgets.FloatSlider(
            1.0, min=0, max=self.most(run), step=self.step, description=name, readout_format=".2f"
        )

    def renew(self, widget: widgets.FloatSlider, run: Run) -> None:
        """Leave the number: changes are the same for any model."""


IMAGE = Choice(choices.image_ids, differs=False)
ANY_IMAGE = Choice(lambda run: run.images.ids, differs=False)  # no arrays need be computed
CHANGE = Choice(lambda run: list(run.changes), differs=False)
SEVERITY = Slider(changes.most_severe, 0.05)
PROPERTY = Choice(lambda run: list(choices.heads_by_property(run)))
SEARCHED_LAYER = Choice(choices.searched_layers)
SEARCHED_HEAD = Choice(choices.numbers_of_heads)
ANY_LAYER = Choice(lambda run: [ALL, *range(choices.searched_layers(run)[-1] + 1)])
ANY_HEAD = Choice(lambda run: [ALL, *choices.numbers_of_heads(run)])
TEXT, OTHER = Words(0), Words(-1)
OF_CHANGES = MappingProxyType({"image": ANY_IMAGE, "change": CHANGE, "severity": SEVERITY})


Control = Choice | Words | Slider


@dataclass(frozen=True)
class Analysis:
    """A row of the table of analyses.

    Attributes
    ----------
    function : callable
        From a run and choices to a figure.
    controls : mapping of str to Control
        The function's parameters, and how each is chosen.
    in_words : bool
        Whether the figure names the numbers that it shows, so that they belong to its description.
    """

    function: Callable[..., Figure]
    controls: Mapping[str, Control]
    in_words: bool = False


ANALYSES: Mapping[str, Analysis] = MappingProxyType(
    {
        "property_neighbours": Analysis(
            analyses.property_neighbours, {"image": IMAGE, "property": PROPERTY}
        ),
        "segmentation": Analysis(
            analyses.segmentation,
            {"image": IMAGE, "text": TEXT, "layer": ANY_LAYER, "head": ANY_HEAD},
        ),
        "contrast": Analysis(
            analyses.contrast,
            {"image": IMAGE, "text": TEXT, "other": OTHER, "layer": ANY_LAYER, "head": ANY_HEAD},
        ),
        "image_neighbours": Analysis(
            analyses.image_neighbours,
            {"image": IMAGE, "layer": SEARCHED_LAYER, "head": SEARCHED_HEAD},
        ),
        "text_neighbours": Analysis(
            analyses.text_neighbours,
            {"text": TEXT, "layer": SEARCHED_LAYER, "head": SEARCHED_HEAD},
        ),
        "change": Analysis(changes.pixels, OF_CHANGES, in_words=True),
        "shift": Analysis(changes.shift, OF_CHANGES, in_words=True),
        "attention": Analysis(changes.attention, OF_CHANGES),
    }
)
"""The five analyses by name, and three of what a change does."""


def panel(analysis: str, run: Run, *, first: Figure | None = None, **chosen: object) -> "Panel":
    """Open an analysis with controls; as the last line of a cell it is shown.

    Parameters
    ----------
    analysis : str
        A row of `ANALYSES`.
    run : Run
    first : Figure, optional
        What is shown until a control is changed, drawn of the same choices; it is closed. Without
        it the analysis is done at once, for which it may load the model.
    **chosen
        What the controls are set to at first, such as ``text="a red circle"``.

    Returns
    -------
    Panel

    Raises
    ------
    WorkbookError
        If the analysis, a control or a value is unknown.
    """
    return Panel(ANALYSES[one_of("analysis", analysis, ANALYSES)], run, chosen, first)


class Panel:
    """An analysis with controls and a picture.

    Parameters
    ----------
    analysis : Analysis
    run : Run
    chosen : mapping of str to object
        What the controls are set to at first.
    first : Figure, optional
        As for `panel`.

    Attributes
    ----------
    controls : dict of str to Widget
        ``model``, and the analysis's own.
    upload : FileUpload
        Takes an image of one's own, where the analysis takes an image.
    page : str
        The picture, or a sentence where there is none, and the choices, as HTML.
    """

    def __init__(
        self,
        analysis: Analysis,
        run: Run,
        chosen: Mapping[str, object],
        first: Figure | None = None,
    ):
        self._analysis, self._runs = analysis, _runs(run)
        self._uploads: dict[str, np.ndarray] = {}
        self._handle, self._renewing = None, False
        models = widgets.Dropdown(options=list(self._runs), description="model")
        built = {name: row.build(name, run) for name, row in analysis.controls.items()}
        self.controls: dict[str, widgets.Widget] = {"model": models, **built}
        self.upload = widgets.FileUpload(accept="image/*", description="upload")
        self._spinner = widgets.HTML()
        for name, value in chosen.items():
            self._set(one_of("a control", name, self.controls), value)
        self._observe()
        if first is None:
            self._draw()
        else:
            self._show(self._picture(first))

    def _ipython_display_(self) -> None:
        display(self._widgets(), raw=True)
        self._handle = display(HTML(self.page), display_id=True)

    @property
    def run(self) -> Run:
        """The run of the chosen model."""
        return self._runs[self.controls["model"].value]()

    def _widgets(self) -> dict[str, object]:
        row = [*self.controls.values(), *([self.upload] if "image" in self.controls else [])]
        layout = widgets.Layout(flex_flow="row wrap")
        box = widgets.VBox([widgets.Box(row, layout=layout), self._spinner])
        return shown(box, WITHOUT_KERNEL)

    def _set(self, name: str, value: object) -> None:
        if name == "image" and not isinstance(value, str):
            self._offer("your image", value)
            return
        control = self.controls[name]
        if value == control.value:
            return  # also None, where there is nothing to choose
        options = getattr(control, "options", None)
        if isinstance(control, widgets.Text) and not isinstance(value, str):
            raise WorkbookError(f"{name} has no value {value!r}; give a text in quotes.")
        if isinstance(control, widgets.FloatSlider):
            _check_number(name, value, control)
        if options is not None and value not in options:
            one_of(name, value, map(str, options))
        control.value = value

    def _offer(self, name: str, pixels: np.ndarray) -> None:
        """Add an image of one's own to those on offer, under a name of its own, and choose it."""
        images = self.controls["image"]
        name = _unused(name, images.options)
        self._uploads[name] = pixels
        images.options = [*images.options, name]
        images.value = name

    def _observe(self) -> None:
        self.controls["model"].observe(self._change_model, "value")
        for name in self._analysis.controls:
            self.controls[name].observe(self._change, "value")
        self.upload.observe(self._take_upload, "value")

    def _change_model(self, _) -> None:
        self._busy(self._renew)
        self._change(None)

    def _renew(self) -> None:
        # Each control would redraw the picture by itself, with the others still of the old model.
        self._renewing = True
        for name, row in self._analysis.controls.items():
            row.renew(self.controls[name], self.run)
        self._renewing = False

    def _take_upload(self, change) -> None:
        for file in change.new:
            try:
                self._offer(file.name, decode(BytesIO(file.content), file.name))
            except WorkbookError as error:
                self._show(alert(error))

    def _change(self, _) -> None:
        if not self._renewing:
            self._busy(self._draw)

    def _busy(self, work: Callable[[], None]) -> None:
        self._spinner.value = SPINNER
        try:
            work()
        finally:
            self._spinner.value = ""

    def _draw(self) -> None:
        with warnings.catch_warnings(record=True) as noticed:
            warnings.simplefilter("always", UserWarning)
            try:
                picture = self._picture(self._analysis.function(self.run, **self._chosen()))
            except WorkbookError as error:
                picture = alert(error)
        self._show(picture, [str(warning.message) for warning in noticed])

    def _picture(self, figure: Figure) -> str:
        words = describe(figure) if self._analysis.in_words else ""
        return _picture(figure, f"{self._caption()} {words}".strip())

    def _chosen(self) -> dict[str, object]:
        values = {name: self.controls[name].value for name in self._analysis.controls}
        if values.get("image") in self._uploads:
            values["image"] = self._uploads[values["image"]]
        return values

    def _caption(self) -> str:
        return " · ".join(f"{name} {widget.value}" for name, widget in self.controls.items())

    def _show(self, picture: str, notices: list[str] | None = None) -> None:
        lines = [self._caption(), *(notices or [])]
        self.page = picture + "".join(f"<p>{escape(line)}</p>" for line in lines)
        if self._handle is not None:
            self._handle.update(HTML(self.page))


def _runs(run: Run) -> dict[str, Callable[[], Run]]:
    """Models that can be chosen: title → how to open its run of the same images."""
    others = {
        names.title(*names.split_model(model)): partial(compared_run, run, model)
        for model in compared_models(run)
    }
    return {run.title: lambda: run} | others


def _unused(name: str, used: Collection[str]) -> str:
    """Return a name, with a number if it is in use: ``a.png (2)``."""
    numbered = (f"{name} ({number})" for number in count(2))
    return next(candidate for candidate in chain([name], numbered) if candidate not in used)


def _check_number(name: str, value: object, slider: widgets.FloatSlider) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not slider.min <= value <= slider.max:
        raise WorkbookError(
            f"{name} has no value {value!r}; give a number from {slider.min:g} to {slider.max:g}."
        )


def _picture(figure: Figure, alt: str) -> str:
    file = BytesIO()
    # What has a layout of its own is not measured for a tighter one: that draws it once more.
    inches = "tight" if figure.get_layout_engine() else figure.bbox_inches
    # JPEG, since thumbnails of photographs as PNG would make notebooks large.
    figure.savefig(file, format="jpeg", dpi=100, bbox_inches=inches, pil_kwargs={"quality": 90})
    # Left open, the figure would appear below the next cell that is run.
    plt.close(figure)
    source = f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"
    return f'<img src="{source}" alt="{escape(alt)}">'
