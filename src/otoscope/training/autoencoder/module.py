"""The Lightning module of autoencoders: closeness to the original, and the answer of a frozen classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.autoencoders import Autoencoder
from otoscope.classifiers.base import Classifier
from otoscope.core.errors import NonFiniteError
from otoscope.training.augment import augment_waveforms
from otoscope.training.autoencoder.losses import mean_squared, multi_resolution_stft
from otoscope.training.autoencoder.settings import AutoencoderRecipe
from otoscope.training.fit import lay_out
from otoscope.training.module import TrainingModule

Batch = tuple[Tensor, Tensor, Tensor]


class AutoencoderModule(TrainingModule):
    """Trains one autoencoder by a recipe, behind it a classifier, if any, that is frozen and in evaluation mode.

    ``numbers`` are the classifier's numbers of the data set's classes, none where its own prediction is the target;
    ``names`` are those of the training clips, for errors.
    """

    autoencoder: Autoencoder
    classifier: Classifier | None

    def __init__(
        self,
        autoencoder: Autoencoder,
        recipe: AutoencoderRecipe,
        classifier: Classifier | None,
        numbers: Sequence[int],
        names: Sequence[str],
        batches: int,
    ):
        super().__init__(autoencoder.network, recipe, batches)
        object.__setattr__(self, "autoencoder", autoencoder)  # both without being registered as parts of the module
        object.__setattr__(self, "classifier", classifier)
        self.kept_epoch = 0
        self.heard: Tensor | None = None
        self.numbers, self.names = torch.tensor(list(numbers)), names

    @property
    def rate(self) -> int:
        """Sample rate of the waveforms, Hz."""
        return self.autoencoder.sample_rate if self.classifier is None else self.classifier.sample_rate

    def prepare(self) -> None:
        """Use the memory layout that is fastest on the CPU."""
        if self.classifier is not None:
            lay_out(self.classifier, torch.channels_last)

    def on_fit_start(self) -> None:
        """Move the classifier, which is not part of the checkpoint, to the device."""
        if self.classifier is not None:
            self.classifier.to(self.device)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Loss of one batch; all randomness depends on seed, epoch and batch alone."""
        waveform, truth, clips = batch
        rng = torch.Generator().manual_seed(self.seed_of(index))
        before, self.heard = self.heard, clips
        target = self._one_hot(truth)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            waveform, target = augment_waveforms(waveform, target, self.recipe.augment, self.rate, rng)
        parts, _ = self.losses(waveform, target)
        each = torch.stack(list(parts.values())).sum(0)
        self._refuse_nonfinite(each, clips, before)
        self.log_dict({f"train/{name}": value.mean() for name, value in parts.items()}, prog_bar=True)
        return each.mean()

    def losses(self, waveform: Tensor, target: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Weighted losses of waveforms ``(batch, time)``, each ``(batch,)``, by name; and the logits, if there is a classifier.

        ``target (batch, class)`` has the shares of the classes.
        """
        settings, classifier = self.recipe.loss, self.classifier
        made = self.autoencoder(waveform, self.rate)
        parts: dict[str, Tensor] = {}
        mse = settings.mse or (1.0 if classifier is None and not settings.stft else 0.0)
        if mse:
            parts["mse"] = mse * mean_squared(made, waveform)
        if settings.stft:
            with torch.autocast(self.device.type, enabled=False):
                parts["stft"] = settings.stft * multi_resolution_stft(made.float(), waveform)
        if classifier is None:
            return parts, None
        logits = hear(classifier, made)
        if self.recipe.classifier.targets == "own":
            with torch.no_grad():
                target = classifier.probabilities(hear(classifier, waveform))
        parts["classifier"] = settings.classifier * classification_loss(classifier, logits, target)
        return parts, logits

    def _one_hot(self, truth: Tensor) -> Tensor:
        """Indices of the data set's classes as weights of the classifier's; empty if these are unknown."""
        n = len(self.classifier.labels) if self.classifier is not None else len(self.numbers)
        if not len(self.numbers):
            return torch.zeros(len(truth), n, device=truth.device)
        return nn.functional.one_hot(self.numbers.to(truth.device)[truth], n).float()

    def _refuse_nonfinite(self, each: Tensor, clips: Tensor, before: Tensor | None) -> None:
        wrong = ~torch.isfinite(each)
        if wrong.any():
            self._refuse_broken(before)  # it was the step before that broke the weights, not this one's clips
            clip = self.names[int(clips[wrong][0])]
            raise NonFiniteError(
                f"the loss is {each[wrong][0].item()} at step {self.global_step} (epoch {self.current_epoch}), first on "
                f"{clip}; lower optimiser.lr or check the clip. The checkpoint of the last whole epoch is kept"
            )

    def on_train_epoch_end(self) -> None:
        """Refuse an epoch whose last step broke the weights before it replaces a good checkpoint."""
        self._refuse_broken(self.heard)

    def _refuse_broken(self, heard: Tensor | None) -> None:
        """Refuse weights that are not finite, naming the clips of the step after which they are so."""
        if all(torch.isfinite(p).all() for p in self.network.parameters()):
            return
        clips = ", ".join(self.names[int(i)] for i in (heard if heard is not None else [])[:3])
        raise NonFiniteError(
            f"the weights hold NaN or infinite values after step {self.global_step - 1} (epoch {self.current_epoch}), whose "
            f"clips were {clips}, ...; lower optimiser.lr or check the clips. The checkpoint of the epoch before is kept"
        )

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Losses of one batch of the validation folds, and how often the classifier is right on the reconstructions."""
        waveform, truth, _ = batch
        target = self._one_hot(truth)
        parts, logits = self.losses(waveform, target)
        values = {f"val/{name}": value.mean() for name, value in parts.items()}
        values["val/loss"] = torch.stack(list(parts.values())).sum(0).mean()
        if logits is not None and self.recipe.classifier.targets == "labels":
            values["val/accuracy"] = (logits.argmax(1) == target.argmax(1)).float().mean()
        self.log_dict(values, prog_bar=True, batch_size=len(truth), sync_dist=True)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember which epoch these weights are of."""
        self.kept_epoch = int(checkpoint["epoch"]) + 1


def hear(classifier: Classifier, waveform: Tensor) -> Tensor:
    """Logits ``(batch, class)``; features are taken in full precision, regardless of autocast."""
    if classifier.frontend is None:
        return classifier(waveform).float()
    with torch.autocast(waveform.device.type, enabled=False):
        features = classifier.features(waveform.float())
    return classifier.logits(features)


def classification_loss(classifier: Classifier, logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of logits and targets, ``(batch,)``; for independent classes, summed over them."""
    if classifier.multilabel:
        return nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)
    return nn.functional.cross_entropy(logits, target, reduction="none")
