"""What works with every model that open_clip names: ``python -m tests.towers_table``.

Builds every vision tower without weights, and writes the table of `helpers/clip/README.md` and the
one that `helpers.clip.capabilities` reads. ``--full NAME …`` instead compares towers of full size,
with random weights, with their libraries: the embedding, and the sum of all contributions.
"""

import argparse
import csv
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import open_clip
import torch

from helpers.clip.building import vision_tower
from helpers.clip.capabilities import TABLE, why_unknown
from helpers.clip.decomposition import Encoding, Readout
from helpers.clip.devices import QuickLinear
from helpers.clip.forward import forward
from helpers.clip.names import open_clip_names
from helpers.clip.towers import open_tower

PAGE = Path(__file__).parents[1] / "helpers" / "clip" / "README.md"
MARKS = "<!-- table: made by tests/towers_table.py -->", "<!-- end of table -->"
FULL = (
    "ViT-B-32",
    "ViT-B-16-SigLIP",
    "ViT-B-16-SigLIP2",
    "ViT-SO400M-14-SigLIP",
    "EVA02-B-16",
    "EVA01-g-14",
    "coca_ViT-B-32",
    "ViT-L-14-CLIPA",
    "PE-Core-B-16",
    "MobileCLIP-B",
    "ViTamin-B",
    "vit_medium_patch16_gap_256",
)


@dataclass(frozen=True)
class Row:
    """What is known of a model: its kind of tower, and what it lacks and why, or ""."""

    kind: str
    why: str
    no_neurons: str


def built(name: str) -> torch.nn.Module:
    """Build a model's vision tower without weights."""
    # timm draws weights on the meta device, too, where they have no values: most of the time.
    with torch.device("meta"), patch("timm.layers.weight_init._trunc_normal_"):
        return vision_tower(open_clip.get_model_config(name)).eval()


def row(name: str) -> Row:
    """Build a model's vision tower, and find out what it gives."""
    visual = built(name)
    if not gives_the_shift(visual, open_clip.get_model_config(name)["embed_dim"]):
        sys.exit(f"{name} gives no embedding")
    module, (why, no_neurons) = getattr(visual, "trunk", visual), why_unknown(visual)
    kind = type(module).__name__
    if why is None:
        kind = f"{type(module).__module__.split('.')[0]} {kind}, {pooling(visual)}"
    return Row(kind, why or "", no_neurons or "")


def pooling(visual: torch.nn.Module) -> str:
    """Name how a tower that can be taken apart pools its tokens."""
    pool = open_tower(visual).pool
    if pool.query:
        return "attention pooling"
    return "class token" if pool.reads == slice(0, 1) else "mean"


def gives_the_shift(visual: torch.nn.Module, features: int) -> bool:
    """Run the whole tower on an image, without weights: shapes alone, on the meta device."""
    size = visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    with torch.device("meta"):
        found = visual(torch.zeros(1, 3, height, width))
    found = found[0] if isinstance(found, tuple) else found
    return found.shape == (1, features)


def table(rows: dict[str, Row]) -> list[str]:
    """Group the names by kind of tower, and say what they sum to."""
    groups: dict[Row, list[str]] = {}
    for name, own in rows.items():
        groups.setdefault(own, []).append(name)
    ordered = sorted(groups.items(), key=lambda one: (bool(one[0].why), one[0].kind))
    lines = [
        "| kind of tower | models | shift | attention and account | neurons | names |",
        "|---|---|---|---|---|---|",
    ]
    account = 0
    for own, names in ordered:
        account += len(names) * (not own.why)
        marks = " | ".join("no" if lacks else "yes" for lacks in (own.why, own.no_neurons))
        lines.append(f"| {own.kind} | {len(names)} | yes | {marks} | {', '.join(names)} |")
    total = len(rows)
    version = open_clip.__version__
    return [
        f"Of open_clip {version}'s {total} names, {total} give the shift and {account} the exact"
        " account.",
        "",
        *lines,
    ]


def write(lines: list[str], rows: dict[str, Row]) -> None:
    """Put the table between the marks of the page, and the reasons beside the code."""
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("model", "why", "neurons"))
        writer.writerows((name, own.why, own.no_neurons) for name, own in rows.items())
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    body = "\n".join(lines)
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{body}\n\n{MARKS[1]}{after}", encoding="utf-8")


def compare(name: str) -> None:
    """Compare a tower of full size, with random weights, with its library's own forward pass."""
    torch.manual_seed(0)
    visual = random(vision_tower(open_clip.get_model_config(name)))
    size = visual.image_size
    images = torch.randn(2, 3, *((size, size) if isinstance(size, int) else size))
    with torch.inference_mode():
        expected = visual(images)
        expected = (expected[0] if isinstance(expected, tuple) else expected).numpy()
        tower = open_tower(visual)
        with QuickLinear():
            encoding = Encoding(forward(tower, images), Readout(tower))
    embedding = relative_error(encoding.embedding, expected)
    total = relative_error(encoding.total(), encoding.embedding)
    print(f"| {name} | {embedding:.0e} | {total:.0e} |", flush=True)
    if max(embedding, total) > 1e-5:
        sys.exit(f"{name} differs")


def random(visual: torch.nn.Module) -> torch.nn.Module:
    """Draw all weights, so that none is at the 0 or 1 that libraries start it at."""
    with torch.no_grad():
        for value in visual.parameters():
            drawn = torch.randn_like(value)
            if value.ndim == 1:
                value.add_(0.3 * drawn)
            else:
                value.copy_(drawn / value[0].numel() ** 0.5)
    return visual.eval().requires_grad_(False)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return ‖actual - expected‖ / ‖expected‖."""
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


def main() -> None:
    """Write the table, or compare towers of full size."""
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", nargs="*", metavar="NAME")
    given = parser.parse_args()
    if given.full is None:
        rows = {name: row(name) for name in open_clip_names()}
        lines = table(rows)
        write(lines, rows)
        print("\n".join(lines))
        return
    print("| model | embedding | sum of contributions |\n|---|---|---|")
    for name in given.full or FULL:
        compare(name)


if __name__ == "__main__":
    main()
