"""The Lightning module: cross entropy on mixed clips, and distillation from a larger classifier."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from otoscope.classifiers.base import Classifier
from otoscope.core.errors import NonFiniteError
from otoscope.surgery import untouched
from otoscope.training.augment import augment_waveforms, spec_mask
from otoscope.training.recipe import Recipe


class Distiller(nn.Module):
    """How far a student's maps and outputs are from a teacher's.

    Each named layer's map of the student is projected (1x1 convolution) onto the teacher's, which is standardised a
    channel, and a linear head on the student's last map predicts all of the teacher's classes. The projections are
    thrown away after training: nothing of the teacher ends up in the student's file.

    Source: hinton2015distilling for outputs, romero2015fitnets for hints.
    """

    def __init__(self, student: Classifier, teacher: Classifier, recipe: Recipe):
        super().__init__()
        self.settings = recipe.teacher
        self._teacher = [teacher.eval().requires_grad_(False)]  # in a list: not saved with the checkpoint
        self.projections = nn.ModuleDict()
        with torch.no_grad(), untouched(student):
            features = student.features(torch.zeros(1, student.sample_rate))
            student_maps, teacher_maps = self.maps(student, features)[0], self.maps(teacher, features)[0]
        for name, own in student_maps.items():
            self.projections[name.replace(".", "_")] = nn.Conv2d(own.shape[1], teacher_maps[name].shape[1], 1)
        last = student_maps[self.settings.hint_layers[-1]].shape[1]
        self.head = nn.Linear(last, len(teacher.labels))
        nn.init.constant_(self.head.bias, -6.0)  # most of a tagger's classes are absent

    @property
    def teacher(self) -> Classifier:
        """The larger classifier."""
        return self._teacher[0]

    def maps(self, model: Classifier, features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Outputs of the hint layers, and the logits."""
        found: dict[str, Tensor] = {}
        handles = []
        for name in self.settings.hint_layers:
            layer = model.network.get_submodule(name)
            handles.append(layer.register_forward_hook(lambda _m, _i, out, name=name: found.__setitem__(name, out)))
        try:
            logits = model.network(features)
        finally:
            for handle in handles:
                handle.remove()
        return found, logits

    def forward(self, student_maps: dict[str, Tensor], features: Tensor) -> Tensor:
        """Weighted distance, a scalar."""
        with torch.no_grad():
            teacher_maps, teacher_logits = self.maps(self.teacher, features)
        hints = [
            nn.functional.mse_loss(
                self.projections[name.replace(".", "_")](own).float(), _standardise(teacher_maps[name])
            )
            for name, own in student_maps.items()
        ]
        pooled = student_maps[self.settings.hint_layers[-1]].mean((2, 3))
        probabilities = teacher_logits.float().sigmoid()
        outputs = nn.functional.binary_cross_entropy_with_logits(
            self.head(pooled).float(), probabilities, reduction="sum"
        )
        return self.settings.hints * sum(hints) / len(hints) + self.settings.logits * outputs / len(features)


def _standardise(maps: Tensor) -> Tensor:
    maps = maps.float()
    mean, std = maps.mean((0, 2, 3), keepdim=True), maps.std((0, 2, 3), keepdim=True)
    return (maps - mean) / (std + 1e-4)


class ClassifierModule(lightning.LightningModule):
    """Trains one classifier by a recipe."""

    def __init__(self, classifier: Classifier, recipe: Recipe, teacher: Classifier | None, steps_per_epoch: int):
        super().__init__()
        self.network = classifier.network
        self._classifier = [classifier]
        self.recipe, self.steps_per_epoch = recipe, steps_per_epoch
        self.distiller = Distiller(classifier, teacher, recipe) if teacher is not None else None

    @property
    def classifier(self) -> Classifier:
        """The classifier that is trained."""
        return self._classifier[0]

    def on_fit_start(self) -> None:
        """Bring along what is no part of the checkpoint: the front end and the teacher."""
        self.classifier.to(self.device)
        if self.distiller is not None:
            self.distiller.teacher.to(self.device)

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        """Loss of one batch; all randomness depends on seed and step alone."""
        waveform, index = batch
        settings, step = self.recipe.augment, self.global_step
        rng = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        torch.manual_seed(self.recipe.seed * 1_000_003 + step)  # dropout
        target = nn.functional.one_hot(index, len(self.classifier.labels)).float()
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            waveform, target = augment_waveforms(waveform, target, settings, self.classifier.sample_rate, rng)
            clean = self.classifier.features(waveform)
            silence = float(getattr(self.classifier.frontend, "silence", 0.0))
            features = spec_mask(clean, settings.frequency_mask, settings.time_mask, silence, rng)
            clean, features = (x.contiguous(memory_format=torch.channels_last) for x in (clean, features))
        if self.distiller is None:
            logits, extra = self.network(features), torch.zeros((), device=self.device)
        else:
            maps, logits = self.distiller.maps(self.classifier, features)
            extra = self.distiller(maps, clean)
        smoothing = self.recipe.optimiser.label_smoothing
        loss = nn.functional.cross_entropy(logits.float(), target, label_smoothing=smoothing)
        accuracy = (logits.argmax(1) == target.argmax(1)).float().mean()
        if not torch.isfinite(loss + extra):
            raise NonFiniteError(
                f"the loss is {(loss + extra).item()} at step {step}; lower optimiser.lr. The checkpoint of the last whole "
                "epoch is kept"
            )
        self.log_dict({"train/loss": loss, "train/distance": extra, "train/accuracy": accuracy}, prog_bar=True)
        return loss + extra

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        """Accuracy and loss of one batch of the validation folds."""
        waveform, index = batch
        logits = self.network(self.classifier.features(waveform)).float()
        values = {
            "val/loss": nn.functional.cross_entropy(logits, index),
            "val/accuracy": (logits.argmax(1) == index).float().mean(),
        }
        self.log_dict(values, prog_bar=True, batch_size=len(index))

    def configure_optimizers(self) -> Any:
        """AdamW; linear warm-up, cosine decay to zero, a step each batch."""
        settings = self.recipe.optimiser
        decay = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": decay}, {"params": plain, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay)
        warm, total = settings.warmup_epochs * self.steps_per_epoch, settings.epochs * self.steps_per_epoch

        def factor(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
