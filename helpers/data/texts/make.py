"""Write the pools of texts: `python -m helpers.data.texts.make`."""

import csv
import re
from pathlib import Path

import yaml

from helpers.data.scenes import PROPERTIES
from helpers.data.sources import PHOTOS
from helpers.data.texts.pools import (
    FOLDER,
    PROPERTY_COLUMN,
    TEXT_COLUMN,
    VALUE_COLUMN,
    Row,
    file_of,
)
from helpers.data.texts.templates import PHOTOGRAPH_PROMPTS

PHOTOGRAPH = "photograph"

# Words whose article follows the sound of their first letter and not its spelling.
SPELLED_LIKE_VOWELS = ("eucalyptus", "ukulele", "uniform", "university")
SPELLED_LIKE_CONSONANTS = ("hourglass", "x-ray")

# The scenes' prompts are written for any value, "orange" included.
VOWEL_AFTER_A = re.compile(r"\ba (?=[aeiou])")


def with_article(word: str) -> str:
    """Put "a" or "an" before a word, as it is spoken."""
    vowel = word[0].lower() in "aeiou" and not word.startswith(SPELLED_LIKE_VOWELS)
    return f"an {word}" if vowel or word.startswith(SPELLED_LIKE_CONSONANTS) else f"a {word}"


def words_of(file: str) -> dict:
    """Read a YAML file of this folder, every word as a text."""
    return yaml.load((FOLDER / file).read_text(encoding="utf-8"), yaml.BaseLoader)


def general() -> list[Row]:
    """Return descriptions of images in general."""
    return [
        Row(template.format(word, a=with_article(word)), name, word)
        for name, groups in words_of("vocabulary.yaml").items()
        for group in groups
        for word in group["words"]
        for template in group["templates"]
    ]


def scenes() -> list[Row]:
    """Return descriptions of scenes by one property each, and of the bundled photographs."""
    further = words_of("scene_prompts.yaml")
    drawn = [
        Row(VOWEL_AFTER_A.sub("an ", item.write(prompt, value)), name, value)
        for name, item in PROPERTIES.items()
        for value in item.values
        for prompt in (*item.prompts, *further[name])
    ]
    photographed = [
        Row(prompt.format(caption), PHOTOGRAPH, caption)
        for caption in PHOTOS.values()
        for prompt in PHOTOGRAPH_PROMPTS
    ]
    return drawn + photographed


MAKERS = {"general": general, "scenes": scenes}
"""Name of a pool → function that returns its rows."""


def write(folder: Path = FOLDER) -> None:
    """Write the files of all pools."""
    for name, rows in MAKERS.items():
        with open(folder / file_of(name), "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([(TEXT_COLUMN, PROPERTY_COLUMN, VALUE_COLUMN), *rows()])


if __name__ == "__main__":
    write()
