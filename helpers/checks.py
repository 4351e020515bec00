"""Errors written for people, and the checks that raise them."""

from collections.abc import Iterable
from difflib import get_close_matches


class WorkbookError(ValueError):
    """Bad input, reported in one sentence: what was wrong, what is valid, what to do.

    The command line prints the sentence and exits with code 2; in a notebook it is the last line
    of the traceback.
    """


def one_of(parameter: str, value: object, options: Iterable[str]) -> str:
    """Check that a named parameter has one of its valid values.

    Parameters
    ----------
    parameter : str
        The name that the user knows the value by.
    value : object
        What the user gave.
    options : iterable of str
        The valid values.

    Returns
    -------
    str
        `value`, unchanged.

    Raises
    ------
    WorkbookError
        If `value` is not an option; the sentence names the parameter, the value and the options.
    """
    options = list(options)
    if value in options:
        return value
    close = get_close_matches(str(value), options, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise WorkbookError(
        f"{parameter} has no value {value!r}; choose one of {', '.join(options)}.{hint}"
    )
