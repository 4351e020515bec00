"""What works with every model that open_clip names: ``python -m tests.towers_table``.

Builds every vision tower without weights, and writes the table of `helpers/clip/README.md` and the
one that `helpers.clip.capabilities` reads. ``--full NAME …`` instead compares towers of full size,
with random weights, with their libraries: the embedding, and the sum of all contributions.
"""

import argparse
import csv
import logging
import sys
from pathlib import Path

import numpy as np
import open_clip
import torch

from helpers.clip import weights
from helpers.clip.building import vision_tower
from helpers.clip.capabilities import TABLE, why_no_account
from helpers.clip.decomposition import Encoding, Readout
from helpers.clip.forward import forward
from helpers.clip.kernels import QuickLinear
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


def kind(name: str, known: bool) -> str:
    """Name the library's class of a model's vision tower, and its pooling where it is known."""
    with torch.device("meta"):
        visual = vision_tower(open_clip.get_model_config(name))
    module = getattr(visual, "trunk", visual)
    if not known:
        return type(module).__name__
    return f"{type(module).__module__.split('.')[0]} {type(module).__name__}, {pooling(visual)}"


def pooling(visual: torch.nn.Module) -> str:
    """Name how a tower that can be taken apart pools its tokens."""
    pool = open_tower(visual).pool
    if pool.query:
        return "attention pooling"
    return "class token" if pool.reads == slice(0, 1) else "mean"


def gives_the_shift(name: str) -> bool:
    """Run the whole tower on an image, without weights: shapes alone, on the meta device."""
    config = open_clip.get_model_config(name)
    with torch.device("meta"):
        visual = vision_tower(config).eval()
        size = visual.image_size
        height, width = (size, size) if isinstance(size, int) else size
        found = visual(torch.zeros(1, 3, height, width))
    found = found[0] if isinstance(found, tuple) else found
    return found.shape == (1, config["embed_dim"])


def reasons() -> dict[str, str]:
    """Say of every name why its tower can't be taken apart; "" where it can."""
    return {name: why_no_account(name) or "" for name in weights.open_clip_names()}


def rows(why: dict[str, str]) -> dict[str, list[str]]:
    """Group the names by kind of tower."""
    groups: dict[str, list[str]] = {}
    for name, reason in why.items():
        if not gives_the_shift(name):
            sys.exit(f"{name} gives no embedding")
        groups.setdefault(kind(name, not reason), []).append(name)
    return groups


def table(groups: dict[str, list[str]], why: dict[str, str]) -> list[str]:
    """Write the table, and what it sums to."""
    ordered = sorted(groups.items(), key=lambda one: (bool(why[one[1][0]]), one[0]))
    lines = [
        "| kind of tower | models | shift | attention and account | names |",
        "|---|---|---|---|---|",
    ]
    account = 0
    for kind_of, names in ordered:
        known = not why[names[0]]
        account += len(names) * known
        mark = "yes" if known else "no"
        lines.append(f"| {kind_of} | {len(names)} | yes | {mark} | {', '.join(names)} |")
    total = sum(map(len, groups.values()))
    version = open_clip.__version__
    return [
        f"Of open_clip {version}'s {total} names, {total} give the shift and {account} the exact"
        " account.",
        "",
        *lines,
    ]


def write(lines: list[str], why: dict[str, str]) -> None:
    """Put the table between the marks of the page, and the reasons beside the code."""
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("model", "why"), *why.items()])
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
        why = reasons()
        lines = table(rows(why), why)
        write(lines, why)
        print("\n".join(lines))
        return
    print("| model | embedding | sum of contributions |\n|---|---|---|")
    for name in given.full or FULL:
        compare(name)


if __name__ == "__main__":
    main()
