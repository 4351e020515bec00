"""What changes do to pixels: how many, by how much, and what they leave in the picture."""

import numpy as np

EFFECTS = ("change", "pixels", "black", "grain")


def pixel_effects(drawn: np.ndarray) -> dict[str, np.ndarray]:
    """Measure the views of an image against its original."""
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
