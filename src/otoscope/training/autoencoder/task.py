"""The tasks ``pretrain`` and ``tune``: an autoencoder that reconstructs sound, or one that is tuned to a frozen classifier."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.autoencoders import SMALL, Autoencoder, AutoencoderConfig, load_autoencoder, save_autoencoder
from otoscope.autoencoders.autoencoder import random_autoencoder
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.labels import class_numbers
from otoscope.classifiers.load import load_classifier
from otoscope.core.errors import OtoscopeError, ParameterError, UnsupportedError
from otoscope.datasets import Dataset
from otoscope.surgery import frozen, preserve_state
from otoscope.training.autoencoder.module import AutoencoderModule, hear
from otoscope.training.autoencoder.settings import AutoencoderRecipe, ListenerSettings
from otoscope.training.card import about_data, about_training, fill, made_today, percent
from otoscope.training.data import Clips, loader
from otoscope.training.fit import lay_out
from otoscope.training.score import score_reconstructions
from otoscope.training.task import Parts, Task

SHAPES = {"small": SMALL, "archisound": AutoencoderConfig()}


class NumberedClips(Clips):
    """Clips that come with their number, so that an error can name them."""

    def __getitem__(self, i: int) -> tuple[Tensor, int, int]:  # type: ignore[override]
        return (*super().__getitem__(i), i)


class AutoencoderTask(Task):
    """Train an autoencoder. A classifier that it is tuned to is frozen, and verified to be unchanged at the end."""

    recipe_type = AutoencoderRecipe
    watch = ("val/loss", "min")

    def __init__(self, recipe: AutoencoderRecipe, data: Dataset, parts: Parts):
        super().__init__(recipe, data, parts)
        self.classifier = load_listener(recipe.classifier) if recipe.task == "tune" else None
        self.autoencoder = start_autoencoder(recipe, self.classifier)
        self.autoencoder.set_scope(recipe.autoencoder.scope)
        self.numbers = list(range(len(data.labels)))
        if self.classifier is not None:
            own = recipe.classifier.targets == "own"
            self.numbers = class_numbers(data.labels, self.classifier, optional=own)
        self.trained: AutoencoderModule | None = None

    @property
    def network(self) -> nn.Module:
        return self.autoencoder.network

    def loaders(self) -> tuple[Any, Any]:
        """Batches at the rate of the classifier, or of the autoencoder."""
        recipe, size = self.recipe, self.recipe.optimiser.batch_size
        rate = self.autoencoder.sample_rate if self.classifier is None else self.classifier.sample_rate
        clips = NumberedClips(self.training, rate, recipe.data, recipe.seed)
        batches = loader(clips, size, recipe.seed, recipe.optimiser.drop_last)
        if self.validation is None:
            return batches, None
        return batches, loader(NumberedClips(self.validation, rate, recipe.data, pool=self.training), size)

    def make_module(self, batches: int) -> AutoencoderModule:
        """The module; it keeps the names of the clips for its errors."""
        names = [example.path.name for example in self.training.examples]
        self.trained = AutoencoderModule(self.autoencoder, self.recipe, self.classifier, self.numbers, names, batches)
        return self.trained

    def check(self) -> None:
        """Refuse a classifier without gradients."""
        if self.classifier is not None:
            check_gradients(self.classifier)

    def guard(self) -> contextlib.AbstractContextManager[Any]:
        """The classifier stays as it is."""
        return frozen(self.classifier) if self.classifier is not None else contextlib.nullcontext()

    def score(self, device: torch.device) -> dict[str, Any]:
        """Error of the reconstructions, and the classifier's accuracy on them."""
        autoencoder, classifier = self.autoencoder.to(device).eval().requires_grad_(False), self.classifier
        if classifier is not None:
            lay_out(classifier.to(device), torch.contiguous_format)
            about = {"name": classifier.name, "sha256": classifier.digest(), "labels": list(classifier.labels)}
            autoencoder.info["tuned_to"] = about
        return score_reconstructions(
            autoencoder, classifier, self.test, self.recipe.data, self.numbers, pool=self.training
        )

    def save(self, folder: Path, result: dict[str, Any]) -> dict[str, Any]:
        """Write the folder; the result records the epoch of the weights."""
        result = {**result, "kept_epoch": self.trained.kept_epoch if self.trained is not None else 0}
        card = autoencoder_card(self.autoencoder, self.recipe, result, self.data)
        save_autoencoder(self.autoencoder.to("cpu"), folder, card, half=self.recipe.half)
        return result

    @classmethod
    def is_whole(cls, result: Mapping[str, Any]) -> bool:
        """Whether the result has all numbers that a study reads."""
        numbers = ["clips", "mse", *(["accuracy", "accuracy_original"] if "accuracy" in result else [])]
        whole = all(isinstance(result.get(key), int | float) for key in numbers)
        whole = whole and isinstance(result.get("si_sdr_db", ""), float | int | None)
        return whole and ("accuracy" not in result or {"interval", "right_is"} <= set(result))

    @classmethod
    def report(cls, result: Mapping[str, Any]) -> list[str]:
        ratio = result["si_sdr_db"]
        lines = [
            f"mean squared error on the test folds: {result['mse']:.3g} ({result['clips']} clips)",
            "SI-SDR: " + ("undefined" if ratio is None else f"{ratio:.2f} dB"),
        ]
        if "accuracy" in result:
            lines += [
                f"on the reconstructions the classifier is right on {100 * result['accuracy']:.2f} %",
                f"  {percent(result['interval'])}; right is the {result['right_is']}",
            ]
            if result["right_is"] == "label":
                lines.append(f"  on the originals {100 * result['accuracy_original']:.2f} %")
        return [*lines, f"folder of the autoencoder: {result['folder']}"]


def start_autoencoder(recipe: AutoencoderRecipe, classifier: Classifier | None = None) -> Autoencoder:
    """The autoencoder to train, with its name and its history.

    A small one of random weights works at the rate of the classifier, unless its settings give another.
    """
    settings = recipe.autoencoder
    if settings.start == "random":
        shape = SHAPES[settings.shape].as_dict()
        if classifier is not None and settings.shape == "small":
            shape["sample_rate"] = classifier.sample_rate
        config = AutoencoderConfig.from_dict({**shape, **settings.settings})
        made = random_autoencoder(config, recipe.seed, settings.zero_residuals)
        started = "random weights"
    else:
        if settings.settings:
            raise ParameterError("autoencoder.settings are for random weights; a start has its own shape")
        made = load_autoencoder(settings.start, settings.weights)
        started = f"{made.name} ({made.info.get('licence', 'licence not recorded')})"
    info = {
        "licence": recipe.licence,
        "trained_on": f"{recipe.data.name}, folds {', '.join(map(str, recipe.data.train)) or 'that do not test'}",
        "started_from": started,
        "task": recipe.task,
        "scope": settings.scope,
    }
    return Autoencoder(made.network, recipe.name, info)


def load_listener(settings: ListenerSettings) -> Classifier:
    """The frozen classifier, in evaluation mode, without the parts that the recipe switches off."""
    classifier = load_classifier(settings.model, settings.weights, list(settings.labels) or None)
    switch_off(classifier, settings.without)
    return classifier.eval()


def switch_off(classifier: Classifier, parts: Sequence[str]) -> None:
    """Switch parts of a DyMN off permanently.

    Raises
    ------
    UnsupportedError
        If it is not a DyMN.
    """
    if not parts:
        return
    switch = getattr(classifier.network, "switch", None)
    if switch is None:
        raise UnsupportedError(
            f"classifier {classifier.name!r} has no parts that can be switched off; leave out the setting without"
        )
    switch(**dict.fromkeys(parts, False))
    classifier.name = f"{classifier.name} without {', '.join(parts)}"


def check_gradients(classifier: Classifier) -> None:
    """Refuse a classifier that gives no gradients, before anything is trained.

    Raises
    ------
    UnsupportedError
    """
    length = classifier.fitting_length(classifier.sample_rate)
    rng = torch.Generator().manual_seed(0)
    said = f"classifier {classifier.name!r} gives no usable gradients, and an autoencoder cannot be tuned to it"
    sound = torch.randn(1, length, generator=rng).mul(0.1).to(classifier.device).requires_grad_()
    gradient = None
    with preserve_state(classifier), torch.enable_grad():
        try:
            logits = hear(classifier, sound)
            weights = torch.arange(1.0, logits.shape[1] + 1, device=logits.device)  # outputs may sum to a constant
            if logits.requires_grad:
                (gradient,) = torch.autograd.grad((logits * weights).sum(), sound, allow_unused=True)
        except OtoscopeError:
            raise
        except Exception as error:
            raise UnsupportedError(f"{said} ({' '.join(str(error).split())[:200]})") from error
    if gradient is None or not torch.isfinite(gradient).all() or not gradient.any():
        raise UnsupportedError(f"{said} (its output does not depend on its input in a differentiable way)")


def autoencoder_card(autoencoder: Autoencoder, recipe: AutoencoderRecipe, result: dict[str, Any], data: Dataset) -> str:
    """The model card (Markdown): task, data and licence, training, results, limits."""
    config, info = autoencoder.config, autoencoder.info
    tuned = info.get("tuned_to")
    task = (
        f"Tuned by the loss of the frozen classifier `{tuned['name']}` (weights {tuned['sha256'][:12]}) on its "
        "reconstructions: what they keep and drop shows what that classifier likes to hear. For another classifier its "
        "sound shows nothing."
        if tuned
        else "Trained to give its input back; it was not tuned to any classifier."
    )
    paragraphs = [
        f"# {recipe.name}",
        recipe.description or "An autoencoder of waveforms.",
        f"{result['parameters']:,} parameters, {config.sample_rate} Hz, {config.in_channels} channel(s); "
        f"{config.compression} samples become one latent frame of {config.channels * config.multipliers[-1]} numbers. "
        f"{'Its weights are stored as float16.' if recipe.half else ''}",
        task,
        "## Data",
        about_data(data, recipe),
        "## Training",
        f"{about_training(recipe, result, 'up to ')}; the weights are of epoch {result['kept_epoch']}. It started from "
        f"{info['started_from']}; what learned: {info['scope']}.",
        "## Results",
        _results(result),
        "## Limits",
        "It carries less than it is given: fine detail and high frequencies suffer first, whatever the classifier likes. "
        "Compare with an autoencoder of the same shape that was never tuned before calling something unheard.",
        f"Licence: {info['licence']}.",
    ]
    return fill(paragraphs)


def _results(result: dict[str, Any]) -> str:
    ratio = "undefined" if result["si_sdr_db"] is None else f"{result['si_sdr_db']:.1f} dB"
    said = f"On {result['clips']} clips of the test folds: mean squared error {result['mse']:.3g}, SI-SDR {ratio}. "
    if "accuracy" in result:
        share = f"{100 * result['accuracy']:.1f} % of the reconstructions ({percent(result['interval'])}, Wilson)"
        said += (
            f"For {share} the classifier's prediction equals that for the original. "
            if result["right_is"] == "original"
            else f"The classifier is right on {share} and on {100 * result['accuracy_original']:.1f} % of the originals. "
        )
    return said + made_today()
