"""One step of training: losses, optimisers, and the state that can be saved and resumed."""

import time
from pathlib import Path

import torch
from open_clip.model import CLIP
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from helpers.clip.embedded.initial import new_model
from helpers.training import captioned, taught
from helpers.training.settings import Settings

LARGEST_SCALE = 100.0  # CLIP's own limit on the inverse temperature
LARGEST_GRADIENT = 5.0


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


class Trainer:
    """The state of training, and one step of it."""

    def __init__(self, settings: Settings, device: str):
        self.settings, self.device = settings, torch.device(device)
        self.model = new_model(settings.name, settings.seed).to(self.device)
        self.average = AveragedModel(
            self.model, multi_avg_fn=get_ema_multi_avg_fn(settings.average)
        )
        self.model.visual.output_tokens = settings.taught is not None
        self.optimisers = optimisers(self.model, settings)
        self.rates = [
            [group["lr"] for group in optimiser.param_groups] for optimiser in self.optimisers
        ]
        self.step, self.seconds = 0, 0.0
        self.weights = taught.weights(settings.taught) if settings.taught else {}

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
        # PyTorch's fused attention is slow backwards on a CPU: the plain one doubles the speed.
        with sdpa_kernel(SDPBackend.MATH):
            result = self._losses(batch)
            sum(self.weights.get(name, 1.0) * loss for name, loss in result.items()).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        self.average.update_parameters(self.model)
        self.step += 1
        self.seconds += time.monotonic() - began
        return {name: loss.item() for name, loss in result.items()}

    def _losses(self, batch: dict) -> dict[str, torch.Tensor]:
        scale = self.model.logit_scale.exp().clamp(max=LARGEST_SCALE)
        return (taught if self.settings.taught else captioned).losses(self.model, batch, scale)

    def _set_rates(self) -> None:
        factor = self.settings.rate(self.step)
        for optimiser, rates in zip(self.optimisers, self.rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
