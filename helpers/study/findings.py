"""Findings in words: sentences with named numbers, and what they mean.

The sentences are templates in ``findings.yaml``, so that a notebook computes numbers and writes no
prose, and whoever improves a sentence reads it whole.
"""

from functools import cache
from importlib.resources import files

import yaml
from jinja2 import Environment, StrictUndefined

from helpers.checks import one_of


def tell(name: str, **numbers: object) -> dict[str, str]:
    """Write a finding.

    Parameters
    ----------
    name : str
        Its place in ``findings.yaml``.
    **numbers
        What its templates name.

    Returns
    -------
    dict of str to str
        ``sentence``, the finding; ``meaning``, what it means to someone who has read no notebook,
        and what it does not mean.

    Raises
    ------
    WorkbookError
        If there is no such finding.
    jinja2.UndefinedError
        If a number is missing.
    """
    templates = _templates()[one_of("finding", name, _templates())]
    environment = Environment(undefined=StrictUndefined, trim_blocks=True)
    environment.filters["percent"] = "{:.0%}".format
    return {
        part: " ".join(environment.from_string(text).render(numbers).split())
        for part, text in templates.items()
    }


@cache
def _templates() -> dict[str, dict[str, str]]:
    text = files("helpers.study").joinpath("findings.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
