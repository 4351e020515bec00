"""Train the embedded model: `python -m helpers.clip.embedded.train`.

Every few minutes the state is written to the folder; started again, training goes on from there.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from helpers.clip.embedded import weights
from helpers.clip.embedded.data import Batches
from helpers.clip.embedded.evaluate import Encoders, validate
from helpers.clip.embedded.files import FOLDER
from helpers.clip.embedded.initial import new_model, normalise
from helpers.clip.embedded.losses import contrastive_loss, property_loss
from helpers.clip.embedded.settings import Settings
from helpers.clip.embedded.text import known_tokens, tokenize

LONGEST_SCALE = 100.0  # CLIP's own limit on the inverse temperature
SAVE_SECONDS = 180
LOG_STEPS = 20


def parameter_groups(model: CLIP, settings: Settings) -> tuple[list[dict], list[dict]]:
    """Split the parameters by optimiser: matrices within the blocks, and the rest."""
    matrices, patches, rest = [], [], []
    for name, parameter in model.named_parameters():
        if "resblocks" in name and parameter.ndim == 2:
            matrices.append(parameter)
        else:
            (patches if name == "visual.conv1.weight" else rest).append(parameter)
    by_muon = [{"params": matrices, "lr": settings.matrix_learning_rate}]
    by_adam = [
        {"params": rest, "lr": settings.learning_rate},
        {"params": patches, "lr": settings.patch_learning_rate},
    ]
    return by_muon, by_adam


def optimisers(model: CLIP, settings: Settings) -> list[torch.optim.Optimizer]:
    """Make Muon (Jordan et al. 2024) for the matrices and AdamW for the rest."""
    by_muon, by_adam = parameter_groups(model, settings)
    return [
        torch.optim.Muon(by_muon, weight_decay=settings.weight_decay),
        torch.optim.AdamW(by_adam, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def encode_texts(model: CLIP, tokens: Tensor) -> Tensor:
    """Encode texts as `CLIP.encode_text` does, but only as far as the longest of them goes.

    Attention is causal, so that the padding behind the end changes nothing.
    """
    ends = tokens.argmax(1)
    length = int(ends.max()) + 1
    x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x[torch.arange(len(x), device=x.device), ends])
    return x @ model.text_projection


def losses(model: CLIP, batch: dict, settings: Settings) -> dict[str, Tensor]:
    """Compute the contrastive loss and that of each property, unweighted."""
    questions = batch["questions"]
    prompts = torch.cat([tokens for tokens, _ in questions.values()])
    with torch.autocast(batch["pixels"].device.type, torch.bfloat16):
        images = model.visual(normalise(batch["pixels"], torch.bfloat16))
        texts = encode_texts(model, batch["captions"])
        prompts = encode_texts(model, prompts)
    images, texts, prompts = (
        functional.normalize(features.float(), dim=-1) for features in (images, texts, prompts)
    )
    scale = model.logit_scale.exp().clamp(max=LONGEST_SCALE)
    found = {"contrastive": contrastive_loss(images, texts, batch["truth"], scale)}
    sizes = [len(tokens) for tokens, _ in questions.values()]
    for (name, (_, present)), values in zip(questions.items(), prompts.split(sizes), strict=True):
        found[name] = property_loss(images, values, present, scale)
    return found


def total(found: dict[str, Tensor], settings: Settings) -> Tensor:
    """Weigh the losses."""
    shares = settings.property_weights | {"contrastive": settings.contrastive_weight}
    return sum(shares[name] * loss for name, loss in found.items())


def batches(settings: Settings, start: int, device: torch.device) -> Iterator[dict]:
    """Draw batches in a process of their own, from a step on."""
    for batch in DataLoader(Batches(settings, start), batch_size=None, num_workers=1):
        questions = {
            name: tuple(part.to(device) for part in parts)
            for name, parts in batch.pop("questions").items()
        }
        yield {name: part.to(device) for name, part in batch.items()} | {"questions": questions}


class Trainer:
    """The state of training, and one step of it.

    Parameters
    ----------
    settings : Settings
        The recipe.
    device : str
        Where to train.
    """

    def __init__(self, settings: Settings, device: str):
        self.settings, self.device = settings, torch.device(device)
        self.model = new_model(settings.seed).to(self.device)
        self.average = AveragedModel(
            self.model, multi_avg_fn=get_ema_multi_avg_fn(settings.average)
        )
        self.optimisers = optimisers(self.model, settings)
        self.rates = [
            [group["lr"] for group in optimiser.param_groups] for optimiser in self.optimisers
        ]
        self.step, self.seconds = 0, 0.0

    def save(self, path: Path) -> None:
        """Write everything that training needs to go on."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a saved state."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]

    def update(self, batch: dict) -> dict[str, float]:
        """Take one step and return the losses."""
        began = time.monotonic()
        self._set_rates()
        found = losses(self.model, batch, self.settings)
        total(found, self.settings).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        self.average.update_parameters(self.model)
        self.step += 1
        self.seconds += time.monotonic() - began
        return {name: loss.item() for name, loss in found.items()}

    def _set_rates(self) -> None:
        factor = self.settings.rate(self.step)
        for optimiser, rates in zip(self.optimisers, self.rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor


class Table:
    """A CSV file that grows by rows, and forgets those after a step when training resumes there.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    step : int
        Where training goes on.
    """

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
    """What training leaves behind, in a folder: state, log, learning curve, weights.

    Parameters
    ----------
    trainer : Trainer
        The training.
    folder : pathlib.Path
        Where `state.pt` (to resume from), `log.csv` (mean losses), `curve.csv` (accuracies on
        validation scenes), `checkpoints/` and in the end `weights.safetensors` are.
    """

    def __init__(self, trainer: Trainer, folder: Path):
        self.trainer, self.folder, self.losses = trainer, folder, []
        self.log = Table(folder / "log.csv", trainer.step)
        self.curve = Table(folder / "curve.csv", trainer.step)
        self.saved = time.monotonic()

    def after_step(self, found: dict[str, float]) -> None:
        """Write what is due after a step with these losses."""
        step, settings = self.trainer.step, self.trainer.settings
        self.losses.append(found)
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
        weights.save(model.state_dict(), known_tokens(), path)

    def _when(self) -> dict[str, int]:
        step = self.trainer.step
        pictures = step * self.trainer.settings.pictures_per_step
        return {"step": step, "pictures": pictures, "seconds": round(self.trainer.seconds)}

    def _validate(self) -> dict[str, float]:
        return validate(Encoders(self.trainer.average.module.eval(), tokenize))


def train(settings: Settings, folder: Path, device: str = "cpu") -> Trainer:
    """Train, or go on training where the state in a folder ends.

    Parameters
    ----------
    settings : Settings
        The recipe.
    folder : pathlib.Path
        See `Reporter`.
    device : str
        Where to train.

    Returns
    -------
    Trainer
        The state at the end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, device)
    if (folder / "state.pt").exists():
        trainer.resume(folder / "state.pt")
    reporter = Reporter(trainer, folder)
    # PyTorch's fused attention is slow backwards on a CPU: the plain one doubles the speed
    with sdpa_kernel(SDPBackend.MATH):
        for batch in batches(settings, trainer.step, trainer.device):
            reporter.after_step(trainer.update(batch))
    reporter.save()
    reporter.export(trainer.average.module, folder / "weights.safetensors")
    return trainer


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("outputs/embedded-training"))
    parser.add_argument("--settings", type=Path, default=FOLDER / "training.json")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args()
    train(Settings.read(chosen.settings), chosen.folder, chosen.device)


if __name__ == "__main__":
    main()
