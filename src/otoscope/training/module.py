"""What the Lightning modules of all tasks share: seeds that depend on the step alone, the optimiser and its schedule."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import nn

from otoscope.training.schedule import factor_of_step, make_optimiser


class TrainingModule(lightning.LightningModule):
    """The base of all modules; ``network`` is what is trained.

    Parameters
    ----------
    network : nn.Module
    recipe : RunSettings
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
