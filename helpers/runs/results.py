"""Tables and figures, saved where the report finds them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from helpers.runs.drawing import PLAIN, asked_drawing
from helpers.runs.storage.files import replaced

if TYPE_CHECKING:
    from IPython.display import Markdown
    from matplotlib.figure import Figure

    from helpers.findings import Answer

ANSWER = "answer"
"""Ends the name of the table of a notebook's answer; its first row is the sentence."""


class Results:
    """What the notebooks of a run save.

    Attributes
    ----------
    folder : Path
        Of the run; it has the folders ``tables`` and ``figures``.
    title : str
        Names the run's model.
    """

    folder: Path
    title: str

    def save_table(self, table: pd.DataFrame, name: str) -> None:
        """Write a table to ``tables/<name>.csv``, unless only figures are redrawn."""
        if asked_drawing() is None:
            with replaced(self.folder / "tables" / f"{name}.csv") as partial:
                table.to_csv(partial)

    def show_answer(self, answer: "Answer", number: str) -> "Markdown":
        """Render a notebook's answer, and keep it for the report as ``tables/<number>_answer.csv``.

        Parameters
        ----------
        answer : Answer
        number : str
            The notebook's, such as ``08``.

        Returns
        -------
        Markdown
            As the last line of a cell it is shown.
        """
        from IPython.display import Markdown

        first = pd.DataFrame([{"question": "In a sentence", "answer": answer.sentence}])
        rows = pd.concat([first, answer.table]).fillna("").set_index("question")
        self.save_table(rows, f"{number}_{ANSWER}")
        return Markdown(f"**{answer.sentence}**\n\n{_as_markdown(answer.table)}")

    def save_figure(self, figure: "Figure", name: str, source: str | None = None) -> None:
        """Sign a figure with what it shows and write it to ``figures/<name>.png``.

        Redrawn for print (`helpers.runs.redraw`), it is in ``figures/<format>``. The file says
        in words what the figure shows, for those who can't see it.

        Parameters
        ----------
        figure : Figure
        name : str
            Starts with the notebook's number.
        source : str, optional
            Where the figure's data come from, if not from the run's model alone.
        """
        from helpers.figures.layout import describe

        # A figure that is sent on alone still says which model it shows.
        figure.text(1, 0, source or self.title, ha="right", va="top", fontsize=8, color="#777777")
        asked = asked_drawing()
        folder = self.folder / "figures" / (asked.format if asked else "")
        drawing = asked or PLAIN
        with replaced(folder / f"{name}.{drawing.format}") as partial:
            drawing.save(figure, partial, describe(figure))


def _as_markdown(table: pd.DataFrame) -> str:
    # A bar would end a cell; names of files and texts may have one.
    rows = [table.columns, ["---"] * table.shape[1], *table.astype(str).values]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows)
