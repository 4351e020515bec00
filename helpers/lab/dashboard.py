"""The map of the notebooks, the runs on this machine, and a form that starts another one.

All that is shown is read from the runs' folders, and a run is a process of its own: to close the
notebook, or to stop its kernel, loses nothing.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from html import escape
from pathlib import Path
from urllib.parse import quote

import ipywidgets as widgets
import nbformat
import psutil
from IPython.display import Markdown, display
from jupyter_server.serverapp import list_running_servers

from helpers.checks import WorkbookError
from helpers.lab.elements import SPINNER, alert, shown
from helpers.lab.form import Form
from helpers.runs import background, paths
from helpers.runs.paths import numbered_notebooks
from helpers.runs.progress import Progress, Step, all_progress
from helpers.runs.report.notebook_page import heading

WITHOUT_KERNEL = "Run this cell in JupyterLab to see the runs on this machine and to start one."
SECONDS = 2.0  # between two looks at a run that is running
LOOK = """
<style>
.workbook-runs th, .workbook-runs td { padding: 0.2em 1em 0.2em 0; text-align: left; }
.workbook-runs a { text-decoration: underline; }
</style>
"""
COLUMNS = ("run", "model", "state", "images", "notebooks", "report", "last written")


def notebooks() -> Markdown:
    """List the numbered notebooks, each with its question and a link."""
    rows = []
    for path in numbered_notebooks():
        name, _, question = heading(nbformat.read(path, as_version=4)).partition(": ")
        rows.append(f"| [{name}]({path.name}) | {question[:1].upper()}{question[1:]} |")
    return Markdown("\n".join(["| notebook | question |", "|---|---|", *rows]))


def dashboard() -> "Dashboard":
    """Open the dashboard; as the last line of a cell it is shown.

    Returns
    -------
    Dashboard
    """
    return Dashboard()


class Dashboard:
    """Runs, and a form for another one."""

    def __init__(self):
        self.form = Form()
        self.runs = widgets.Dropdown(description="run", style={"description_width": "3em"})
        self._table, self._steps, self._message = (widgets.HTML() for _ in range(3))
        self._known: dict[Path, Progress] = {}
        self._watching: asyncio.Task | None = None
        work = {
            "Go on": self._go_on,
            "Stop": self._stop,
            "Look again": lambda: None,
            "Start": self._start,
        }
        self.buttons = {name: _button(name, self._doing(step)) for name, step in work.items()}
        self.runs.observe(lambda _: self._show_chosen(), "value")
        self.look()

    def _ipython_display_(self) -> None:
        chosen = [self.runs, *(self.buttons[name] for name in ("Go on", "Stop", "Look again"))]
        parts = [
            self._table,
            widgets.HBox(chosen, layout=widgets.Layout(flex_flow="row wrap")),
            self._steps,
            self._message,
            widgets.HTML("<h3>Another run</h3>"),
            self.form.widget,
            self.buttons["Start"],
        ]
        display(shown(widgets.VBox(parts), WITHOUT_KERNEL), raw=True)
        self._watch()

    def look(self) -> bool:
        """Read all runs from disk and show them."""
        entries = all_progress()
        self._known = {entry.folder: entry for entry in entries if isinstance(entry, Progress)}
        running = {folder: background.writer(folder) for folder in self._known}
        self._table.value = _table(entries, running)
        self._offer({_name(folder): folder for folder in self._known})
        self._show_chosen()
        return any(running.values())

    def _offer(self, options: dict[str, Path]) -> None:
        chosen = self.runs.value
        if options != dict(self.runs.options):
            self.runs.options = options
            self.runs.value = chosen if chosen in self._known else next(iter(self._known), None)

    def _show_chosen(self) -> None:
        now = self._known.get(self.runs.value)
        who = now and background.writer(now.folder)
        self.buttons["Stop"].disabled = who is None
        self.buttons["Go on"].disabled = now is None or who is not None or now.is_finished
        if now:
            said = "" if who else background.failure(now.folder)
            steps = "".join(_step(step) for step in now.steps if step.total)
            self._steps.value = steps + (said and alert(said))

    def _doing(self, work: Callable[[], None]) -> Callable[[object], None]:
        def do(_: object) -> None:
            self._message.value = SPINNER
            try:
                work()
                self._message.value = ""
            except WorkbookError as error:
                self._message.value = alert(error)
            self.look()
            self._watch()

        return do

    def _start(self) -> None:
        folder = background.start(self.form.parameters())
        self.look()
        self.runs.value = folder

    def _go_on(self) -> None:
        background.go_on(self.runs.value)

    def _stop(self) -> None:
        background.stop(self.runs.value)

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._look_repeatedly())

    async def _look_repeatedly(self) -> None:
        while self.look():
            await asyncio.sleep(SECONDS)


def _button(name: str, work: Callable[[object], None]) -> widgets.Button:
    button = widgets.Button(description=name)
    button.on_click(work)
    return button


def _table(entries: list[Progress | str], running: dict[Path, str | None]) -> str:
    if not entries:
        return "<p>There is no run on this machine yet.</p>"
    rows = [_row(entry, running) for entry in entries if isinstance(entry, Progress)]
    sentences = [f"<p>{escape(entry)}</p>" for entry in entries if isinstance(entry, str)]
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    table = f'<table class="workbook-runs"><tr>{head}</tr>{"".join(rows)}</table>'
    return LOOK + table + "".join(sentences)


def _row(run: Progress, running: dict[Path, str | None]) -> str:
    images, _, notebooks = run.steps
    state = "running" if running[run.folder] else "finished" if run.is_finished else "unfinished"
    cells = [
        escape(_name(run.folder)),
        escape(run.title),
        state,
        f"{images.done:,} of {images.total:,}",
        f"{notebooks.done} of {notebooks.total}",
        _link(run.report) if run.report else "–",
        f"{run.changed:%Y-%m-%d %H:%M}",
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _name(folder: Path) -> str:
    return folder.relative_to(paths.OUTPUTS).as_posix()


def _link(report: Path) -> str:
    """Link a page if JupyterLab serves the folder that it lies in; else write its path."""
    above = {process.pid for process in psutil.Process().parents()}
    for server in list_running_servers():
        root = Path(server["root_dir"])
        if server["pid"] in above and root in report.parents:
            place = f"{server['base_url']}files/{quote(report.relative_to(root).as_posix())}"
            return f'<a href="{place}" target="_blank">report</a>'
    return escape(str(report))


def _step(step: Step) -> str:
    caption = f"{step.done:,} of {step.total:,}"
    if step.done < step.total and step.seconds_each:
        left = timedelta(seconds=round(step.seconds_left))
        caption += f" · {_rate(step.seconds_each)} · about {left} left"
    values = f'aria-label="progress of {step.name}" value="{step.done}" max="{step.total}"'
    return f"<p><progress {values}></progress> {step.name}: {caption}</p>"


def _rate(seconds_each: float) -> str:
    return f"{1 / seconds_each:.1f} a second" if seconds_each < 1 else f"{seconds_each:.0f} s each"
