"""The Lightning module: cross entropy on mixed clips, and distillation from another classifier."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.classifiers.base import Classifier
from otoscope.core.errors import NonFiniteError
from otoscope.training.augment import augment_features, augment_waveforms, jitter_bank
from otoscope.training.classifier.distil import Distiller
from otoscope.training.classifier.settings import Recipe
from otoscope.training.fit import lay_out
from otoscope.training.module import TrainingModule


class ClassifierModule(TrainingModule):
    """Trains one classifier by a recipe; a teacher, if there is one, is distilled."""

    classifier: Classifier

    def __init__(self, classifier: Classifier, recipe: Recipe, teacher: Classifier | None, batches: int):
        super().__init__(classifier.network, recipe, batches)
        object.__setattr__(self, "classifier", classifier)  # without being registered as a part of the module
        self.distiller = Distiller(classifier, teacher, recipe.teacher) if teacher is not None else None

    def prepare(self) -> None:
        """Use the memory layout that is a fifth faster on the CPU."""
        for model in (self.classifier, self.distiller.teacher if self.distiller is not None else None):
            if model is not None:
                lay_out(model, torch.channels_last)

    def on_fit_start(self) -> None:
        """Move what is not part of the checkpoint, the front end and the teacher, to the device."""
        self.classifier.to(self.device)
        if self.distiller is not None:
            self.distiller.teacher.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Cool the network's temperature, if any; freeze the norms' statistics, if the recipe requests it."""
        if self.recipe.model.fixed_norms:
            for part in self.network.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()
        start = self.recipe.model.temperature_from
        if start > 0 and hasattr(self.network, "temperature"):
            self.network.temperature = max(start - self.current_epoch, 1.0)

    def features(self, waveform: Tensor, rng: torch.Generator) -> Tensor:
        """Input of the network for clips ``(batch, time)``."""
        if self.classifier.frontend is None:
            return self.classifier.pad(waveform)
        ends = jitter_bank(self.classifier.frontend, rng) if self.recipe.augment.mel_jitter else {}
        return self.classifier.frontend(self.classifier.pad(waveform), **ends)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Loss of one batch; all randomness depends on seed, epoch and batch alone."""
        waveform, truth = batch
        settings = self.recipe.augment
        seed = self.seed_of(index)
        rng = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout and patch-out
        target = nn.functional.one_hot(truth, len(self.classifier.labels)).float()
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            waveform, target = augment_waveforms(waveform, target, settings, self.classifier.sample_rate, rng)
            features = self.features(waveform, rng)
            if self.classifier.frontend is not None:
                features, target = augment_features(features, target, settings, self._fill(features), rng)
                features = features.contiguous(memory_format=torch.channels_last)
        with self.distiller.record() if self.distiller is not None else contextlib.nullcontext({}) as recorded:
            logits, extra = self._outputs(features)
        if self.distiller is not None:
            extra = extra + self.distiller(waveform, logits, recorded)
        smoothing = self.recipe.optimiser.label_smoothing
        loss = nn.functional.cross_entropy(logits.float(), target, label_smoothing=smoothing)
        loss = self.recipe.losses.classification * loss
        self._refuse_nonfinite(loss + extra)
        accuracy = (logits.argmax(1) == target.argmax(1)).float().mean()
        self.log_dict({"train/loss": loss, "train/distance": extra, "train/accuracy": accuracy}, prog_bar=True)
        return loss + extra

    def _outputs(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the weighted losses that the network itself computes."""
        weights = self.recipe.losses.extra
        if not weights:
            return self.network(features), torch.zeros((), device=self.device)
        network: Any = self.network
        logits, losses = network.losses(features)
        self.log_dict({f"train/{name}": losses[name] for name in weights})
        return logits, sum(
            (weight * losses[name] for name, weight in weights.items()), torch.zeros((), device=self.device)
        )

    def on_train_batch_end(self, *_: Any) -> None:
        """Apply the constraints of networks that have some."""
        constrain = getattr(self.network, "constrain", None)
        if callable(constrain):
            constrain()

    def _fill(self, features: Tensor) -> Tensor:
        """The fill value of SpecAugment, broadcast over the features."""
        fill, frontend = self.recipe.augment.mask_fill, self.classifier.frontend
        if fill == "mean":
            return features.mean((1, 2, 3), keepdim=True)
        name = "silence" if fill == "silence" else "full_scale"
        return features.new_tensor(float(getattr(frontend, name, 0.0)))

    def _refuse_nonfinite(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise NonFiniteError(
                f"the loss is {loss.item()} at step {self.global_step} (epoch {self.current_epoch}); lower optimiser.lr. "
                "The checkpoint of the last whole epoch is kept"
            )

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        """Accuracy and loss of one batch of the validation folds."""
        waveform, index = batch
        logits = self.classifier(waveform).float()
        values = {
            "val/loss": nn.functional.cross_entropy(logits, index),
            "val/accuracy": (logits.argmax(1) == index).float().mean(),
        }
        self.log_dict(values, prog_bar=True, batch_size=len(index), sync_dist=True)

    def learners(self) -> list[nn.Module]:
        """The network, and the heads that a teacher needs."""
        return [self.network, *([self.distiller] if self.distiller is not None else [])]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save state of the network that is not in its tensors (DyMN's temperature)."""
        settings: dict[str, Any] = getattr(self.network, "state_settings", dict)()
        checkpoint["network_settings"] = dict(settings)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore that state."""
        for name, value in checkpoint.get("network_settings", {}).items():
            setattr(self.network, name, value)
