"""The five analyses of CLIP-InterpreT, each from a run and choices to a figure.

Contributions are those of `helpers.clip.decomposition`. Neighbours are found by inner products of
contributions to embeddings of length 1, as CLIP-InterpreT does, and beside that by cosine, by which
no image is near to all for being long.
Wherever the id of an image is taken, an image of one's own is taken too: uint8, height × width × 3.
"""

import numpy as np
from matplotlib.figure import Figure

from helpers.analysis.dissection import head_name
from helpers.analysis.proximity import SIMILARITIES, Neighbours, nearest
from helpers.analysis.scores import enlarge
from helpers.figures.interpretation import image_neighbours as draw_image_neighbours
from helpers.figures.interpretation import text_neighbours as draw_text_neighbours
from helpers.figures.interpretation import topic_maps as draw_topic_maps
from helpers.interpret import choices
from helpers.interpret.choices import ALL, Head
from helpers.runs.run import Run

# As many as CLIP-InterpreT shows.
PROPERTY_NEIGHBOURS = 4
IMAGE_NEIGHBOURS = 8
TEXT_NEIGHBOURS = 3


def property_neighbours(run: Run, image: str | np.ndarray, property: str) -> Figure:
    """Show the images most like one image in what the heads of a property say.

    Parameters
    ----------
    run : Run
    image : str or ndarray of uint8, height × width × 3
    property : str
        A property that `helpers.interpret.choices.heads_by_property` finds a head for.

    Returns
    -------
    Figure
        The image and its 4 nearest, by the mean contribution over these heads, a row for each of
        `helpers.analysis.proximity.SIMILARITIES`.

    Raises
    ------
    WorkbookError
        If there is no such image or property.
    """
    heads = choices.heads_of_property(run, property)
    names = ", ".join(head_name(layer, head) for layer, head in heads)
    return _near_image(run, image, heads, PROPERTY_NEIGHBOURS, f"{property} ({names})")


def segmentation(
    run: Run,
    image: str | np.ndarray,
    text: str,
    layer: int | str = ALL,
    head: int | str = ALL,
) -> Figure:
    """Show where in an image a head reads what a text says."""
    of_heads = choices.maps_of_heads(run, image, [text])
    maps = choices.topic_maps(of_heads, layer, head)
    return _over_image(run, image, maps, [text], layer, head)


def contrast(
    run: Run,
    image: str | np.ndarray,
    text: str,
    other: str,
    layer: int | str = ALL,
    head: int | str = ALL,
    *,
    maps: np.ndarray | None = None,
) -> Figure:
    """Show where in an image a head reads one text rather than another.

    Parameters
    ----------
    run : Run
    image : str or ndarray of uint8, height × width × 3
    text, other : str
    layer, head : int or "all"
        One of them, or the sum over all.
    maps : ndarray, (2, layers, heads, rows, columns), optional
        Of the two texts, as of `helpers.interpret.choices.maps_of_heads`, where they are kept; no
        model is needed then.

    Returns
    -------
    Figure
        The image, the map of each text and their difference, all on one scale.

    Raises
    ------
    WorkbookError
        If there is no such image, layer or head, or a text can't be read.
    """
    if maps is None:
        maps = choices.maps_of_heads(run, image, [text, other])
    first, second = choices.topic_maps(maps, layer, head)
    titles = [text, other, f"{text}\nless {other}"]
    return _over_image(run, image, [first, second, first - second], titles, layer, head)


def image_neighbours(run: Run, image: str | np.ndarray, layer: int, head: int) -> Figure:
    """Show the images most like one image in what one head says.

    Parameters
    ----------
    run : Run
    image : str or ndarray of uint8, height × width × 3
    layer, head : int
        A head whose contributions the run keeps.

    Returns
    -------
    Figure
        The image and its 8 nearest, in rows as of `property_neighbours`.

    Raises
    ------
    WorkbookError
        If there is no such image, layer or head.
    """
    return _near_image(run, image, [(layer, head)], IMAGE_NEIGHBOURS, head_name(layer, head))


def text_neighbours(run: Run, text: str, layer: int, head: int) -> Figure:
    """Show the images in which one head says most of a text.

    Parameters
    ----------
    run : Run
    text : str
    layer, head : int
        A head whose contributions the run keeps.

    Returns
    -------
    Figure
        The 3 images nearest to the text, in rows as of `property_neighbours`.

    Raises
    ------
    WorkbookError
        If there is no such layer or head, or the text can't be read.
    """
    searched = choices.contributions(run, [(layer, head)])
    result = _by_each_similarity(run, searched, choices.text_direction(run, text), TEXT_NEIGHBOURS)
    return draw_text_neighbours(text, nearest=result, heads=head_name(layer, head))


def _near_image(
    run: Run, image: str | np.ndarray, heads: list[Head], count: int, name: str
) -> Figure:
    query = choices.contribution_of(run, image, heads)
    searched = choices.contributions(run, heads)
    result = _by_each_similarity(run, searched, query, count, choices.position(run, image))
    pixels, title = choices.pixels_of(run, image), _name(image)
    return draw_image_neighbours(pixels, title, nearest=result, heads=name)


def _by_each_similarity(run: Run, *search: object) -> dict[str, dict[str, object]]:
    return {name: _drawable(run, nearest(*search, similarity=name)) for name in SIMILARITIES}


def _drawable(run: Run, neighbours: Neighbours) -> dict[str, object]:
    names = [choices.image_ids(run)[index] for index in neighbours.indices]
    return {
        "images": [choices.pixels_of(run, name) for name in names],
        "names": names,
        "similarities": neighbours.similarities,
    }


def _over_image(run: Run, image, maps, titles: list[str], layer, head) -> Figure:
    pixels = choices.pixels_of(run, image)
    heads = f"{_level('layer', layer)}, {_level('head', head)}"
    return draw_topic_maps(
        pixels, _name(image), enlarge(maps, pixels.shape[:2]), titles=titles, heads=heads
    )


def _level(name: str, value: int | str) -> str:
    return f"all {name}s" if value == ALL else f"{name} {value}"


def _name(image: str | np.ndarray) -> str:
    return image if isinstance(image, str) else "the image"
