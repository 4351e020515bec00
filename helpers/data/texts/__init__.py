"""Texts that describe images, which attention heads are named with.

`open_texts` opens one of the workbook's own pools or a user's file. `python -m
helpers.data.texts.make` writes the pools' files from the YAML files beside it and from the words of
the scenes.
"""

from helpers.data.texts.pools import MEMORISED, POOLS, Texts, open_texts

__all__ = ["MEMORISED", "POOLS", "Texts", "open_texts"]
