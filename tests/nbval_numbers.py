"""A pytest plugin: nbval compares text exactly and numbers as numbers.

The last bits of a product in float32 differ between processors and numbers of threads, and a
number that is printed with two decimals may lie beside the edge where one becomes the other. Before
nbval compares two outputs, each number of the new one that agrees with its counterpart is therefore
written as that one was. Whatever remains different is different, and nbval shows it.

- A measured number (one with a decimal point, an exponent or a per cent sign) agrees within one
  step of its last printed digit, and within 2 %: quantities that are counted over resamples or
  random orders, such as p values and interval ends, move by more than their rounding when a single
  resample crosses an edge. A sign, a NaN for a number, and 5 % of any number that is printed with
  enough digits to see them, are beyond that.
- A whole number counts, names or numbers something (a head, an image, a row) and must be the same.
- Header cells of HTML tables are labels and must be the same, numbers included.
- Runs of blanks agree: columns of plain text are as wide as their numbers.
- Progress bars, which appear only where something was computed, and the pixels of pictures inside
  HTML are not results and are left out on both sides; nbval itself leaves out other pictures.
"""

import re
from copy import deepcopy
from functools import partial

from nbval.plugin import IPyNbCell

STEPS = 1
"""Units of the last printed digit within which two measured numbers agree."""

RELATIVE = 0.02
"""Part of the larger of two measured numbers within which they agree."""

NUMBER = r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\w|\.\d)(?:\s?%)?"
LABEL = r"<th\b.*?</th>|</?\w[^<>]*>"
PIECES = re.compile(f"(?P<label>{LABEL})|(?P<number>{NUMBER})", re.DOTALL)
BLANKS = re.compile(r"[ \t]+")
PICTURE = re.compile(r"data:image/[\w+]+;base64,[A-Za-z0-9+/=\s]+")
PROGRESS = re.compile(r"[^\r\n]*\d+%\|[^\r\n]*[\r\n]?|\r")


def pytest_itemcollected(item):
    """Let a notebook's cell compare what has been reconciled."""
    if isinstance(item, IPyNbCell):
        item.compare_outputs = partial(compare_outputs, item.compare_outputs)


def compare_outputs(compare, test, reference, **options):
    """Compare a cell's outputs by nbval's own function, numbers as numbers."""
    test, reference = without_progress(test), without_progress(reference)
    if len(test) == len(reference):
        test = [_reconciled(*pair) for pair in zip(test, reference, strict=True)]
    return compare(test, reference, **options)


def without_progress(outputs):
    """Return outputs without progress bars and pictures in HTML."""
    kept = deepcopy(list(outputs))
    for output in kept:
        if output.output_type == "stream":
            output.text = PROGRESS.sub("", output.text)
        elif "text/html" in output.get("data", {}):
            output.data["text/html"] = PICTURE.sub("a picture", output.data["text/html"])
    return [output for output in kept if output.get("text", "something").strip()]


def reconcile(test, reference):
    """Write the numbers of a text that agree with a reference as the reference does.

    Parameters
    ----------
    test, reference : str

    Returns
    -------
    str
        The reference where all agrees; `test` where the text between numbers differs.
    """
    ours, theirs = _pieces(test), _pieces(reference)
    if [piece[0] for piece in ours] != [piece[0] for piece in theirs]:
        return test
    agreeing = [
        their if _agree(our, their) else our
        for (_, our), (_, their) in zip(ours, theirs, strict=True)
    ]
    return "".join(agreeing)


def _reconciled(test, reference):
    output = deepcopy(test)
    if "text" in output and "text" in reference:
        output.text = reconcile(output.text, reference.text)
    for kind in set(output.get("data", {})) & set(reference.get("data", {})):
        if kind.startswith("text/"):
            output.data[kind] = reconcile(output.data[kind], reference.data[kind])
    return output


def _pieces(text):
    """Split a text into (what must be the same, as written); None where a number stands."""
    pieces, end = [], 0
    for found in PIECES.finditer(text):
        between = text[end : found.start()]
        pieces.append((BLANKS.sub(" ", between), between))
        label = found["label"]
        pieces.append((label and BLANKS.sub(" ", label), found.group()))
        end = found.end()
    return [*pieces, (BLANKS.sub(" ", text[end:]), text[end:])]


def _agree(test, reference):
    """Whether two pieces agree, of which nothing but numbers can differ."""
    sizes = [_measured(piece) for piece in (test, reference)]
    if None in sizes:
        return BLANKS.sub(" ", test) == BLANKS.sub(" ", reference)
    (one, step), (other, other_step) = sizes
    # pandas prints as many decimals as a column needs: the finer ones are those it was rounded to.
    margin = max(STEPS * min(step, other_step), RELATIVE * max(abs(one), abs(other)))
    return one * other >= 0 and abs(one - other) <= margin * (1 + 1e-9)


def _measured(piece):
    """Return value and step of a measured number; None for anything else."""
    if not re.fullmatch(NUMBER, piece) or not re.search(r"[.eE%]", piece):
        return None
    digits, _, exponent = piece.rstrip("% \n").replace(",", "").lower().partition("e")
    decimals = len(digits.partition(".")[2])
    return float(f"{digits}e{exponent or 0}"), 10.0 ** (int(exponent or 0) - decimals)
