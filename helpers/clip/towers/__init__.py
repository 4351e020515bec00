"""Vision towers, each described by the few parts that the exact account needs.

A vision transformer of any library is the same sum: tokens that enter the first block, what every
head, bias and MLP adds to them, and a pooling that is linear once its weights are known.
`open_tower` finds these parts in the library's own modules; a tower that it can't describe gives
the embedding alone.
"""

from helpers.clip.towers.kinds import Tower, UnknownTower, open_tower

__all__ = ["Tower", "UnknownTower", "open_tower"]
