"""Train an embedded model: `python -m helpers.training.train embedded-clip`.

Every few minutes the state is written to the folder; started again, training goes on from there.
"""

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader

from helpers.clip.embedded import RECIPES, WEIGHTS
from helpers.clip.embedded.text import known_tokens
from helpers.clip.embedded.weights import ROWS
from helpers.training.batches import Batches
from helpers.training.captioned import CaptionedBatches
from helpers.training.evaluate import Encoders, validate
from helpers.training.settings import Settings
from helpers.training.taught import TaughtBatches
from helpers.training.text import tokenize
from helpers.training.trainer import Trainer

SAVE_SECONDS = 180
LOG_STEPS = 20
DRAWING = 1  # processes that draw batches


def batches_of(settings: Settings, start: int = 0) -> Batches:
    """Return what draws the batches of a recipe, from a step on."""
    return (TaughtBatches if settings.taught else CaptionedBatches)(settings, start)


def batches(settings: Settings, start: int, device: torch.device) -> Iterator[dict]:
    """Draw batches in processes of their own, from a step on."""
    for batch in DataLoader(batches_of(settings, start), batch_size=None, num_workers=DRAWING):
        yield tree_map(lambda part: part.to(device), batch)


def save_weights(weights: dict[str, torch.Tensor], rows: torch.Tensor, path: Path) -> None:
    """Write weights in half precision."""
    half = {name: tensor.detach().half().contiguous() for name, tensor in weights.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(half | {ROWS: rows.to(torch.int32)}, path)


class Table:
    """A CSV file that grows by rows, and forgets those after a step when training resumes there."""

    def __init__(self, path: Path, step: int):
        self.path = path
        if path.exists():
            rows = pd.read_csv(path)
            rows[rows["step"] <= step].to_csv(path, index=False)

    def add(self, row: dict) -> None:
        """Write a row."""
        pd.DataFrame([row]).to_csv(
            self.path, mode="a", header=not self.path.exists(), index=False, float_format="%.4f"
        )


class Reporter:
    """What training leaves behind, in a folder: state, log, learning curve, weights."""

    def __init__(self, trainer: Trainer, folder: Path):
        self.trainer, self.folder, self.losses = trainer, folder, []
        self.log = Table(folder / "log.csv", trainer.step)
        self.curve = Table(folder / "curve.csv", trainer.step)
        self.saved = time.monotonic()

    def after_step(self, losses: dict[str, float]) -> None:
        """Write what is due after a step with these losses."""
        step, settings = self.trainer.step, self.trainer.settings
        self.losses.append(losses)
        if step % LOG_STEPS == 0:
            self.log.add(self._when() | pd.DataFrame(self.losses).mean().to_dict())
            self.losses = []
        if step % settings.validate_every == 0:
            self.curve.add(self._when() | self._validate())
        if step in settings.checkpoints:
            self.export(self.trainer.model, self.folder / "checkpoints" / f"{step}.safetensors")
        if time.monotonic() - self.saved > SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the state to resume from."""
        self.trainer.save(self.folder / "state.pt")
        self.saved = time.monotonic()

    def export(self, model: CLIP, path: Path) -> None:
        """Write weights as the workbook loads them."""
        save_weights(model.state_dict(), known_tokens(self.trainer.settings.name), path)

    def _when(self) -> dict[str, int]:
        step = self.trainer.step
        pictures = step * self.trainer.settings.pictures_per_step
        return {"step": step, "pictures": pictures, "seconds": round(self.trainer.seconds)}

    def _validate(self) -> dict[str, float]:
        tokenizer = partial(tokenize, model=self.trainer.settings.name)
        return validate(Encoders(self.trainer.average.module.eval(), tokenizer))


def train(settings: Settings, folder: Path, device: str = "cpu") -> Trainer:
    """Train, or go on training where the state in a folder ends."""
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, device)
    if (folder / "state.pt").exists():
        trainer.resume(folder / "state.pt")
    reporter = Reporter(trainer, folder)
    for batch in batches(settings, trainer.step, trainer.device):
        reporter.after_step(trainer.update(batch))
    reporter.save()
    reporter.export(trainer.average.module, folder / WEIGHTS)
    return trainer


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=RECIPES, default=RECIPES[-1])
    parser.add_argument("--folder", type=Path, help="default: outputs/training/NAME")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args()
    folder = chosen.folder or Path("outputs/training", chosen.name)
    train(Settings.read(chosen.name), folder, chosen.device)


if __name__ == "__main__":
    main()
