"""The six scores of the embedding-shift study, original against augmented.

Every score takes `(original, augmented)` with any leading axes, which broadcast: an original of
shape (images, 1, …) against (images, 9, …) gives (images, 9), and what belongs to the original
alone is computed once. Results are float64. Where an equation has no value (a zero vector, an image
without an edge, no patch with any detail, numbers that are not finite) the score is NaN, so that
means leave it out and n counts the rest. Of an image beside one of a single colour, such as a
black one, a saturated one or one of a single pixel, edge and detail similarity have no value; all
other scores have.

Equation numbers are those of Dahal, Murad and Rahimi, "Embedding Shift Dissection on CLIP",
CVPR-W MIV 2025, arXiv 2503.23495, supplement A.1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from helpers.checks import WorkbookError
from helpers.registry import Registry, named

PATCH_GRID = 4
DETAIL_GRID = 8
UNIFORM_BELOW = 1e-6
# Equation (10) divides by the maximum, so the scale of grey cancels; in thousandths, grey and its
# differences are whole numbers that float32 holds exactly for uint8 images.
GREY_IN_THOUSANDTHS = np.array([299, 587, 114], dtype=np.float32)

PIXEL_EFFECTS = ("change", "pixels", "black", "grain")

_COMPARED = ("pixel_change", "patch_similarity", "edge_similarity", "detail_similarity")


def embedding_similarity(original: ArrayLike, augmented: ArrayLike) -> np.ndarray:
    """Cosine similarity of two embeddings, equation (4).

    Parameters
    ----------
    original, augmented : array_like, (…, features)
        Embeddings, normalised or not; the leading axes broadcast.

    Returns
    -------
    numpy.ndarray, (…)
        Similarity in [-1, 1]; NaN where either embedding is the zero vector.

    Raises
    ------
    WorkbookError
        If the shapes don't match.

    Examples
    --------
    >>> embedding_similarity([3, 4], [[6, 8], [4, 3], [-4, 3]])
    array([1.  , 0.96, 0.  ])
    """
    original, augmented = _matched(original, augmented, core=("features",))
    dot = np.einsum("...d,...d->...", original, augmented)
    norms = np.linalg.norm(original, axis=-1) * np.linalg.norm(augmented, axis=-1)
    return np.clip(_ratio(dot, norms), -1, 1)


def l2_distance(original: ArrayLike, augmented: ArrayLike) -> np.ndarray:
    """Euclidean distance of two embeddings, equation (5).

    Parameters
    ----------
    original, augmented : array_like, (…, features)
        Embeddings as the model gives them: the study does not normalise.

    Returns
    -------
    numpy.ndarray, (…)
        Distance ≥ 0, in the units of the embedding; lower is closer.

    Raises
    ------
    WorkbookError
        If the shapes don't match.
    """
    original, augmented = _matched(original, augmented, core=("features",))
    return np.linalg.norm(original - augmented, axis=-1)


def attention_map(grid: ArrayLike, size: int | tuple[int, int] = 224) -> np.ndarray:
    """Turn a grid of attention weights into the map A that equation (6) compares.

    The grid is resized bilinearly to the image (pixel centres at half-integers, edges repeated)
    and then scaled so that its minimum is 0 and its maximum 1.

    Parameters
    ----------
    grid : array_like, (…, rows, columns)
        Attention of the class token to the patches, mean over heads, unscaled.
    size : int or tuple of int
        Height and width of the map in pixels: those of the views.

    Returns
    -------
    numpy.ndarray, (…, height, width)
        The maps; a constant grid, which has no range to scale by, becomes zeros.

    Raises
    ------
    WorkbookError
        If the grid has fewer than two axes or the size is below 1.
    """
    grid = np.asarray(grid, dtype=np.float64)
    if grid.ndim < 2 or np.min(size) < 1:
        raise WorkbookError(
            f"attention_map got a grid of shape {grid.shape} and size {size}; "
            "it needs the axes (…, rows, columns) and a size of at least 1."
        )
    maps = enlarge(grid, size)  # (…, height, width)
    maps -= maps.min(axis=(-2, -1), keepdims=True)
    # Interpolating a constant leaves rounding errors, which must not be blown up to [0, 1].
    constant = np.ptp(grid, axis=(-2, -1), keepdims=True) == 0
    maps /= np.where(constant, np.inf, maps.max(axis=(-2, -1), keepdims=True))
    return maps


def attention_similarity(original: ArrayLike, augmented: ArrayLike) -> np.ndarray:
    """Similarity of two attention maps, equation (6): 1 / (1 + mean squared difference).

    Parameters
    ----------
    original, augmented : array_like, (…, m, n)
        Attention maps, taken as given; the study's are those of `attention_map`.

    Returns
    -------
    numpy.ndarray, (…)
        Similarity in (0, 1]; at least 0.5 for maps in [0, 1].

    Raises
    ------
    WorkbookError
        If the shapes don't match.
    """
    original, augmented = _matched(original, augmented, core=("m", "n"))
    return 1 / (1 + np.square(original - augmented).mean(axis=(-2, -1)))


def pixel_change(original: ArrayLike, augmented: ArrayLike) -> np.ndarray:
    """Root mean square difference of pixel values: a size of the change that knows no model.

    Parameters
    ----------
    original, augmented : array_like, (…, h, w, 3)
        RGB images, uint8 or float from 0 to 255; the leading axes broadcast.

    Returns
    -------
    numpy.ndarray, (…)
        From 0 to 1, in parts of full scale.

    Raises
    ------
    WorkbookError
        If the images don't match or aren't images.
    """
    original, augmented = _matched_images(original, augmented, 1)
    return _pair_by_pair(
        _as_float32, lambda first, other: _rms(_squares(first, other)), original, augmented
    )


def patch_similarity(
    original: ArrayLike, augmented: ArrayLike, *, uint8_wraparound: bool = False
) -> np.ndarray:
    """Similarity of pixel values on a 4 by 4 grid of patches, equations (7) and (8).

    The patch height and width are integer divisions; rows and columns that are left over at the
    bottom and right belong to no patch (224 leaves none).

    Parameters
    ----------
    original, augmented : array_like, (…, h, w, 3)
        RGB images, uint8 or float from 0 to 255.
    uint8_wraparound : bool
        Compute as the published code does: differences and squares stay uint8 and wrap modulo
        256, which holds every score near 1. Needs uint8 images.

    Returns
    -------
    numpy.ndarray, (…)
        Similarity in [0.5, 1].

    Raises
    ------
    WorkbookError
        If the images don't match or aren't images, or are no uint8 for `uint8_wraparound`.
    """
    original, augmented = _matched_images(original, augmented, PATCH_GRID)
    if uint8_wraparound:
        _require_uint8(original, augmented)
    return _pair_by_pair(
        np.asarray if uint8_wraparound else _as_float32,
        lambda first, other: _patch_likeness(_squares(first, other)),
        original,
        augmented,
    )


def edge_similarity(original: ArrayLike, augmented: ArrayLike) -> np.ndarray:
    """Similarity of edge maps, equations (9) to (11).

    An edge map is |∂x| + |∂y| of the grey image divided by its own maximum; derivatives are
    central differences, one-sided at the border.
    """
    original, augmented = _matched_images(original, augmented, 2)
    return _pair_by_pair(_edge_map, _edge_likeness, original, augmented)


def detail_similarity(
    original: ArrayLike,
    augmented: ArrayLike,
    *,
    divide_by_all_patches: bool = False,
    grey: bool = False,
) -> np.ndarray:
    """Similarity of contrast within patches on an 8 by 8 grid, equation (12).

    exp(-|log(s'/s)|), with s the standard deviation over all of a patch's colour values, is the
    smaller s over the larger; a patch that the augmentation made uniform scores 0, the limit.
    Patches that are uniform in the original (s < 1e-6) are not valid; left-over rows and columns
    belong to no patch, as in `patch_similarity`.

    Parameters
    ----------
    original, augmented : array_like, (…, h, w, 3)
        RGB images, uint8 or float from 0 to 255.
    divide_by_all_patches : bool
        Divide by 64, as one version of the published code does, in place of the equation's N,
        the number of valid patches.
    grey : bool
        Take the deviation of grey (0.299 R + 0.587 G + 0.114 B) in place of all colour values, as
        both versions of the published code do; the paper doesn't decide it.

    Returns
    -------
    numpy.ndarray, (…)
        Similarity in [0, 1]; NaN where no patch is valid (0 with `divide_by_all_patches`).

    Raises
    ------
    WorkbookError
        If the images don't match or aren't images.
    """
    original, augmented = _matched_images(original, augmented, DETAIL_GRID)
    divisor = DETAIL_GRID**2 if divide_by_all_patches else None
    compare = partial(_detail_likeness, divisor=divisor)
    describe = _grey_patch_deviations if grey else _patch_deviations
    return _pair_by_pair(describe, compare, original, augmented)


def pixel_effects(drawn: np.ndarray) -> dict[str, np.ndarray]:
    """Measure what changes do to pixels: how many, by how much, and what is left of a picture."""
    views = drawn.astype(np.float32)
    difference = np.abs(views[1:] - views[0]).mean(axis=-1)  # changes × h × w
    changed = difference > 0
    black = (drawn[1:] == 0).all(axis=-1) & (drawn[0] != 0).any(axis=-1)
    steps = np.abs(np.diff(views, axis=2)).mean(axis=-1)  # views × h × (w - 1)
    both = changed[:, :, 1:] & changed[:, :, :-1]
    before, after = ((each * both).sum(axis=(1, 2)) for each in (steps[0], steps[1:]))
    return {
        "change": difference.mean(axis=(1, 2)),
        "pixels": changed.mean(axis=(1, 2)),
        "black": black.mean(axis=(1, 2)),
        "grain": np.divide(after, before, out=np.full_like(after, np.nan), where=before > 0),
    }


def pixel_scores(original: ArrayLike, augmented: ArrayLike) -> dict[str, np.ndarray]:
    """Return all that compares pixels, as the functions of these names do, but in one go.

    An image is read once, and squares of differences are shared.
    """
    original, augmented = _matched_images(original, augmented, DETAIL_GRID)
    scores = _pair_by_pair(_described, _compared, original, augmented, len(_COMPARED))
    return dict(zip(_COMPARED, np.moveaxis(scores, -1, 0), strict=True))


@dataclass(frozen=True)
class Score:
    """A row of the table of scores.

    Attributes
    ----------
    name : str
        The name in arrays and tables.
    label : str
        The name in figures.
    function : callable
        `function(original, augmented)`, leading axes broadcast.
    needs : str
        What it compares: "embedding", "attention" (maps of `attention_map`) or "pixels".
    higher_is_closer : bool
        Whether a higher value means that less has changed.
    equation : str
        The equation's number in the study; "own" of a user's.
    origin : str
        A hash of the user's code that it comes from; "" for the workbook's own.
    """

    name: str
    label: str
    function: Callable[[ArrayLike, ArrayLike], np.ndarray]
    needs: str
    higher_is_closer: bool
    equation: str
    origin: str = ""


_ROWS = (
    # function, needs, higher is closer, equation
    (embedding_similarity, "embedding", True, "4"),
    (l2_distance, "embedding", False, "5"),
    (attention_similarity, "attention", True, "6"),
    (patch_similarity, "pixels", True, "7-8"),
    (edge_similarity, "pixels", True, "9-11"),
    (detail_similarity, "pixels", True, "12"),
)
SCORES: Registry[Score] = Registry("score", [Score(*named(row[0]), *row) for row in _ROWS])
"""All scores by name; users add theirs (`helpers.extend`)."""


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide, with NaN and no warning where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.equal(denominator, 0), np.nan, np.divide(numerator, denominator))


def _matched(original: ArrayLike, augmented: ArrayLike, core: tuple[str, ...]) -> list[np.ndarray]:
    """Both sides as float64, with equal core axes and leading axes that broadcast.

    Infinity becomes NaN: a distance or a similarity to it would be a number, and say nothing.
    """
    arrays = [np.asarray(side, dtype=np.float64) for side in (original, augmented)]
    _check_shapes(*arrays, core)
    return [_without_infinity(side) for side in arrays]


def _without_infinity(values: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.nan)


def _matched_images(original: ArrayLike, augmented: ArrayLike, smallest: int) -> list[np.ndarray]:
    """Both sides as checked RGB images of at least `smallest` pixels a side."""
    arrays = [np.asarray(side) for side in (original, augmented)]
    _check_shapes(*arrays, ("h", "w", "3"))
    for images in arrays:
        _check_image(images, smallest)
    return arrays


def _check_shapes(original: np.ndarray, augmented: np.ndarray, core: tuple[str, ...]) -> None:
    k = len(core)
    try:
        np.broadcast_shapes(original.shape[:-k], augmented.shape[:-k])
        matched = min(original.ndim, augmented.ndim) >= k
    except ValueError:
        matched = False
    if not matched or original.shape[-k:] != augmented.shape[-k:]:
        raise WorkbookError(
            f"The original has shape {original.shape} and the augmented {augmented.shape}; both "
            f"need the same last axes ({', '.join(core)}) and leading axes that broadcast."
        )


def _check_image(images: np.ndarray, smallest: int) -> None:
    height, width, channels = images.shape[-3:]
    if channels != 3 or min(height, width) < smallest:
        raise WorkbookError(
            f"Images of shape {images.shape} can't be scored; they need the axes (…, h, w, 3) "
            f"with h and w of at least {smallest}."
        )
    if images.dtype == np.uint8:
        return
    # The comparison is written so that NaN fails it.
    if not (np.issubdtype(images.dtype, np.floating) and np.all((images >= 0) & (images <= 255))):
        raise WorkbookError(
            f"Images of type {images.dtype} can't be scored unless they are uint8 or hold floats "
            "from 0 to 255; convert them first."
        )


def _require_uint8(*sides: np.ndarray) -> None:
    for images in sides:
        if images.dtype != np.uint8:
            raise WorkbookError(
                f"uint8_wraparound needs uint8 images, not {images.dtype}; "
                "only uint8 wraps modulo 256."
            )


def _pair_by_pair(
    describe: Callable[[np.ndarray], object],
    compare: Callable[[object, object], ArrayLike],
    original: np.ndarray,
    augmented: np.ndarray,
    *values: int,
) -> np.ndarray:
    """Describe every image once and compare the pairs, (…, *values).

    One image at a time stays in the processor's cache; a batch streams through memory.
    """
    shape = np.broadcast_shapes(original.shape[:-3], augmented.shape[:-3])
    scores = np.empty((*shape, *values))
    sides = _Described(describe, original), _Described(describe, augmented)
    for place in np.ndindex(*shape):
        scores[place] = compare(*(side[place] for side in sides))
    return scores


class _Described:
    """The descriptions of images at places of a broadcast array; the last one is kept."""

    def __init__(self, describe: Callable[[np.ndarray], object], images: np.ndarray):
        self._describe, self._images = describe, images
        self._kept: tuple = (None, None)

    def __getitem__(self, place: tuple[int, ...]) -> object:
        lengths = self._images.shape[:-3]
        index = place[len(place) - len(lengths) :]
        index = tuple(0 if n == 1 else i for i, n in zip(index, lengths, strict=True))
        if self._kept[0] != index:
            self._kept = index, self._describe(self._images[index])
        return self._kept[1]


def _as_float32(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32)


def _squares(first: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared differences, in the type of the images."""
    squares = first - other
    return np.square(squares, out=squares)


def _sums(image: np.ndarray, grid: int) -> np.ndarray:
    """Add up the patches of a grid, (grid, grid), float64.

    Columns are added first. In float32 that is exact for squares of whole numbers up to 255 and
    patches of up to 258 rows: below 2**24, float32 holds every whole number.
    """
    height, width, channels = image.shape
    tall, wide = height // grid, width // grid
    cropped = image[: grid * tall, : grid * wide].reshape(grid, tall, grid * wide * channels)
    by_column = cropped.sum(axis=1, dtype=np.promote_types(image.dtype, np.float32))
    return by_column.reshape(grid, grid, -1).sum(axis=-1, dtype=np.float64)


def _values_per_patch(image: np.ndarray, grid: int) -> int:
    return (image.shape[0] // grid) * (image.shape[1] // grid) * image.shape[2]


def _rms(squares: np.ndarray) -> float:
    return float(np.sqrt(_sums(squares, 1).item() / squares.size)) / 255


def _patch_likeness(squares: np.ndarray) -> float:
    """Equations (7) and (8)."""
    mse = _sums(squares, PATCH_GRID) / _values_per_patch(squares, PATCH_GRID)
    return float((1 / (1 + mse / 255**2)).mean())


def _patch_deviations(image: np.ndarray) -> np.ndarray:
    """Return the standard deviation of all values in each patch, (64,)."""
    n = _values_per_patch(image, DETAIL_GRID)
    if image.dtype == np.uint8:  # sums of whole numbers: no digit is lost in the difference
        whole = _as_float32(image)
        squares, sums = _sums(np.square(whole), DETAIL_GRID), _sums(whole, DETAIL_GRID)
        return np.sqrt(n * squares - np.square(sums)).ravel() / n
    height, width, channels = image.shape
    tall, wide = height // DETAIL_GRID, width // DETAIL_GRID
    cropped = image[: DETAIL_GRID * tall, : DETAIL_GRID * wide]
    patches = cropped.reshape(DETAIL_GRID, tall, DETAIL_GRID, wide, channels)
    return patches.std(axis=(1, 3, 4), dtype=np.float64).ravel()


def _grey_patch_deviations(image: np.ndarray) -> np.ndarray:
    grey = image.astype(np.float64) @ GREY_IN_THOUSANDTHS.astype(np.float64) / 1000
    return _patch_deviations(grey[..., None])


def _detail_likeness(before: np.ndarray, after: np.ndarray, divisor: int | None = None) -> float:
    """Equation (12)."""
    valid = before >= UNIFORM_BELOW
    ratios = _ratio(np.minimum(before, after), np.maximum(before, after))
    count = valid.sum() if divisor is None else divisor
    return float(_ratio(np.where(valid, ratios, 0).sum(), count))


def _edge_map(image: np.ndarray) -> np.ndarray:
    """Equation (10): (h, w, 3) to (h, w) in float32; NaN for an image without an edge."""
    grey = image.astype(np.float32) @ GREY_IN_THOUSANDTHS
    down, across = np.gradient(grey)
    edges = np.abs(down, out=down)
    edges += np.abs(across, out=across)
    edges /= edges.max() or np.nan
    return edges


def _edge_likeness(first: np.ndarray, other: np.ndarray) -> float:
    """Equations (9) and (11)."""
    difference = first - other
    return float(1 - np.abs(difference, out=difference).mean(dtype=np.float64))


def _described(image: np.ndarray) -> tuple[np.ndarray, ...]:
    return _as_float32(image), _edge_map(image), _patch_deviations(image)


def _compared(first: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> list[float]:
    """Compare two descriptions, in the order of `_COMPARED`."""
    (pixels, edges, deviations), (other_pixels, other_edges, other_deviations) = first, other
    squares = _squares(pixels, other_pixels)
    return [
        _rms(squares),
        _patch_likeness(squares),
        _edge_likeness(edges, other_edges),
        _detail_likeness(deviations, other_deviations),
    ]


def enlarge(maps: ArrayLike, size: int | tuple[int, int]) -> np.ndarray:
    """Resize maps on a grid of patches bilinearly to an image; their scale stays as it is.

    Of shape (…, height, width).
    """
    maps = np.asarray(maps, dtype=np.float64)
    sides = np.broadcast_to(size, 2).tolist()
    if maps.ndim < 2 or min(sides) < 1:
        raise WorkbookError(
            f"Maps of shape {maps.shape} can't be resized to {size} pixels; they need the axes"
            " (…, rows, columns) and a size of at least 1."
        )
    down, across = map(bilinear_weights, maps.shape[-2:], sides)
    return down @ maps @ across.T


def bilinear_weights(n: int, size: int) -> np.ndarray:
    """Return weights, size × n, that interpolate n samples at the centres of `size` pixels."""
    centres = (np.arange(size) + 0.5) * n / size - 0.5
    return np.stack([np.interp(centres, np.arange(n), sample) for sample in np.eye(n)], axis=1)
