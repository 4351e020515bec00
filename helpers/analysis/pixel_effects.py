"""What changes do to pixels: how many, by how much, and what they leave in the picture."""

import numpy as np

EFFECTS = ("change", "pixels", "black", "grain")


def pixel_effects(drawn: np.ndarray) -> dict[str, np.ndarray]:
    """Measure the views of an image against its original.

    Parameters
    ----------
    drawn : ndarray of uint8, views × h × w × 3
        The original first.

    Returns
    -------
    dict of str to ndarray of float, (changes,)
        ``change``: mean absolute difference, in grey levels of 255. ``pixels``: the part of the
        pixels that changed. ``black``: the part that has become black, and was not. ``grain``: mean
        difference of horizontal neighbours that both changed, in units of what it was there before;
        NaN where it was none, or nothing changed.
    """
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
