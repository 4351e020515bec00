"""What panels and forms share: how they are shown, how they say that they are busy, and errors."""

from html import escape

import ipywidgets as widgets

from helpers.checks import WorkbookError

# Shown by the browser on its own after 0.3 s, while the kernel computes and can show nothing.
SPINNER = """
<style>
@keyframes workbook-turn { to { transform: rotate(360deg); } }
@keyframes workbook-appear { to { visibility: visible; } }
.workbook-spinner { visibility: hidden; animation: workbook-appear 0s 0.3s forwards; }
.workbook-spinner span { display: inline-block; width: 1em; height: 1em; border-radius: 50%;
  border: 2px solid #bbb; border-top-color: #222; animation: workbook-turn 0.8s linear infinite; }
</style>
<div class="workbook-spinner" role="status"><span></span> computing …</div>
"""


def shown(widget: widgets.Widget, without_kernel: str) -> dict[str, object]:
    """Return what is displayed of a widget, raw.

    Parameters
    ----------
    widget : Widget
    without_kernel : str
        What a reader sees instead where there is no kernel; the widget's own representation as
        text is of no use to them.

    Returns
    -------
    dict
        By MIME type.
    """
    return widget._repr_mimebundle_() | {"text/plain": without_kernel}


def alert(error: WorkbookError | str) -> str:
    """Write an error where the choice was made, as HTML that screen readers read out at once."""
    return f'<p role="alert" style="color: #a00">{escape(str(error))}</p>'
