"""The base of all Lightning modules: seeds that depend on the step alone, optimisers, and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import lightning
import torch
from torch import nn

from otoscope.training.settings import OptimiserSettings


def factor_at(settings: OptimiserSettings, epoch: float) -> float:
    """The learning rate's factor at an epoch (0.5 is the middle of the first)."""
    warm = settings.warmup_epochs
    if epoch < warm:
        return math.exp(-5 * (1 - epoch / warm) ** 2) if settings.warmup == "exponential" else epoch / warm
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (epoch - warm) / max(1, settings.epochs - warm))))
    if settings.schedule == "ramp":
        done = min(1.0, max(0.0, (epoch - settings.ramp_start) / max(1, settings.ramp_epochs)))
        return 1 - done * (1 - settings.last_factor)
    return 1.0


def factor_of_step(settings: OptimiserSettings, step: int, steps_per_epoch: int) -> float:
    """The factor for one step: moving with each, or still within an epoch."""
    if settings.schedule_by == "epoch":
        return factor_at(settings, step // steps_per_epoch)
    return factor_at(settings, (step + 1) / steps_per_epoch)


def make_optimiser(modules: Iterable[nn.Module], settings: OptimiserSettings) -> torch.optim.Optimizer:
    """The optimiser over all parameters that require gradients."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    spared = [] if settings.decay_all else [p for p in parameters if p.ndim <= 1]
    decayed = parameters if settings.decay_all else [p for p in parameters if p.ndim > 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    groups = [g for g in groups if g["params"]]
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": torch.optim.AdamW,
        "adam": torch.optim.Adam,
        "sgd": torch.optim.SGD,
    }
    more = {"momentum": 0.9} if settings.name == "sgd" else {}
    return kinds[settings.name](groups, lr=settings.lr, weight_decay=settings.weight_decay, **more)


class TrainingModule(lightning.LightningModule):
    """The base of all modules; ``network`` is what is trained.

    Parameters
    ----------
    network : nn.Module
        What is trained.
    recipe : RunSettings
        The recipe of the run.
    batches : int
        Batches an epoch.
    """

    def __init__(self, network: nn.Module, recipe: Any, batches: int):
        super().__init__()
        self.network, self.recipe, self.batches = network, recipe, batches

    def prepare(self) -> None:
        """Called once before the training."""

    def learners(self) -> list[nn.Module]:
        """The modules whose parameters are optimised."""
        return [self.network]

    def seed_of(self, index: int) -> int:
        """Seed of a batch: it depends on the recipe's seed, the epoch, the batch and the process alone."""
        return (self.recipe.seed * 1_000_003 + self.current_epoch * self.batches + index) * 1009 + self.global_rank

    def _steps_per_epoch(self) -> int:
        """Steps of the optimiser an epoch; several processes share the batches."""
        if self._trainer is not None and self.trainer.max_epochs and self.trainer.max_epochs > 0:
            return max(1, round(float(self.trainer.estimated_stepping_batches) / self.trainer.max_epochs))
        return max(1, -(-self.batches // self.recipe.optimiser.accumulate))

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser; its schedule moves a step at a time."""
        settings = self.recipe.optimiser
        optimiser = make_optimiser(self.learners(), settings)
        steps = self._steps_per_epoch()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: factor_of_step(settings, step, steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
