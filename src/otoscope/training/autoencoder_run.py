"""Train an autoencoder by a recipe: pre-train it on sound, or tune it to a frozen classifier."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from otoscope.autoencoders import SMALL, Autoencoder, AutoencoderConfig, load_autoencoder, save_autoencoder
from otoscope.autoencoders.autoencoder import random_autoencoder
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.load import load_classifier
from otoscope.core.errors import OtoscopeError, ParameterError, UnsupportedError
from otoscope.core.files import make_folder, write_text
from otoscope.core.runtime import require, resolve_device
from otoscope.datasets import Dataset, load_dataset
from otoscope.recipes.runs import ensure_same_recipe, made_here, out_folder, read_json, reserve, round_half
from otoscope.surgery import frozen, preserve_state
from otoscope.training.autoencoder_card import autoencoder_card
from otoscope.training.autoencoder_module import AutoencoderModule, hear
from otoscope.training.autoencoder_settings import AutoencoderRecipe, ListenerSettings
from otoscope.training.data import Clips, divide, loader
from otoscope.training.fit import fit_module, lay_out, make_trainer
from otoscope.training.score import score_reconstructions

SHAPES = {"small": SMALL, "archisound": AutoencoderConfig()}


class NumberedClips(Clips):
    """Clips that come with their number, so that an error can name them."""

    def __getitem__(self, i: int) -> tuple[Tensor, int, int]:  # type: ignore[override]
        return (*super().__getitem__(i), i)


def train_autoencoder(recipe: AutoencoderRecipe, device: str = "auto") -> dict[str, Any]:
    """Train an autoencoder, score it on the test folds, write its folder.

    The classifier is frozen and in evaluation mode; that not one of its parameters or buffers changed is proven at the
    end. A run that was stopped goes on from the end of its last whole epoch; one that is done is read.

    Parameters
    ----------
    recipe : AutoencoderRecipe
    device : {"auto", "cpu", "cuda"}

    Returns
    -------
    dict
        ``mse``, ``si_sdr_db`` on the test folds, for a tuned one what `score_reconstructions` says of the classifier;
        ``train_s``, ``parameters``, ``kept_epoch`` and ``folder``.

    Raises
    ------
    OtoscopeError
        If data, classifier, start or folder are not usable, or a loss is not finite.
    """
    lightning = require("lightning", "train", "otoscope train")
    out = out_folder(recipe)
    ensure_same_recipe(out, recipe)
    done = out / "model" / "results.json"
    if done.is_file():
        return {**_results(done), "folder": str(out / "model")}
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    data = load_dataset(recipe.data.name, recipe.data.root)
    lightning.seed_everything(recipe.seed, verbose=False)
    training, validation, test = divide(data, recipe.data)
    classifier = load_listener(recipe.classifier) if recipe.task == "tune" else None
    autoencoder = start_autoencoder(recipe, classifier)
    autoencoder.set_scope(recipe.autoencoder.scope)
    numbers = list(range(len(data.labels)))
    if classifier is not None:
        numbers = class_numbers(data.labels, classifier, optional=recipe.classifier.targets == "own")
    chosen = resolve_device(device)
    rate = autoencoder.sample_rate if classifier is None else classifier.sample_rate
    batches, watched = _loaders(recipe, rate, training, validation)
    names = [example.path.name for example in training.examples]
    module = AutoencoderModule(autoencoder, recipe, classifier, numbers, names, len(batches))
    make_folder(out)
    trainer = make_trainer(
        lightning, recipe, out, chosen, min(10, len(batches)), validation is not None, ("val/loss", "min")
    )
    if classifier is not None:
        check_gradients(classifier)
    reserve(out, recipe)  # only now that all of it can run
    with frozen(classifier) if classifier is not None else contextlib.nullcontext():
        train_s = fit_module(trainer, recipe.optimiser, module, (batches, watched), out)
    if not trainer.is_global_zero:
        return {}
    if recipe.half:
        round_half(autoencoder.network)
    autoencoder.to(chosen).eval().requires_grad_(False)
    if classifier is not None:
        lay_out(classifier.to(chosen), torch.contiguous_format)
        about = {"name": classifier.name, "sha256": classifier.digest(), "labels": list(classifier.labels)}
        autoencoder.info["tuned_to"] = about
    result = score_reconstructions(autoencoder, classifier, test, recipe.data, numbers, pool=training)
    result["train_s"] = train_s
    result["parameters"] = sum(p.numel() for p in autoencoder.network.parameters())
    result["kept_epoch"] = module.kept_epoch
    _write(out, autoencoder.to("cpu"), recipe, result, data)
    return {**result, "folder": str(out / "model")}


def _loaders(recipe: AutoencoderRecipe, rate: int, training: Dataset, validation: Dataset | None) -> tuple[Any, Any]:
    """Batches to train on, and to watch (or None), at the rate of who listens."""
    size = recipe.optimiser.batch_size
    clips = NumberedClips(training, rate, recipe.data, recipe.seed)
    held = NumberedClips(validation, rate, recipe.data, pool=training) if validation is not None else None
    watched = loader(held, size) if held is not None else None
    return loader(clips, size, recipe.seed, recipe.optimiser.drop_last), watched


def _results(file: Path) -> dict[str, Any]:
    """Results of a run that is done, if they are whole."""
    found = read_json(file)
    numbers = ["clips", "mse", *(["accuracy", "accuracy_original"] if "accuracy" in found else [])]
    whole = all(isinstance(found.get(key), int | float) for key in numbers)
    whole = whole and isinstance(found.get("si_sdr_db", ""), float | int | None)
    if not whole or ("accuracy" in found and not {"interval", "right_is"} <= set(found)):
        raise OtoscopeError(f"{file} is damaged; delete the folder {file.parent}, and it is written anew")
    return found


def start_autoencoder(recipe: AutoencoderRecipe, classifier: Classifier | None = None) -> Autoencoder:
    """The autoencoder that is to be trained, with its name and what is known of it before.

    A small one of random weights works at the rate of the classifier, unless its settings say another.
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
    """The classifier that is listened to, in evaluation mode, with the parts switched off that are to be."""
    classifier = load_classifier(settings.model, settings.weights, list(settings.labels) or None)
    switch_off(classifier, settings.without)
    return classifier.eval()


def switch_off(classifier: Classifier, parts: Sequence[str]) -> None:
    """Switch parts of a DyMN off, for good; no parts, no change.

    Raises
    ------
    UnsupportedError
        If it is no DyMN.
    """
    if not parts:
        return
    switch = getattr(classifier.network, "switch", None)
    if switch is None:
        raise UnsupportedError(
            f"classifier {classifier.name!r} has no parts that can be switched off; leave without out"
        )
    switch(**dict.fromkeys(parts, False))
    classifier.name = f"{classifier.name} without {', '.join(parts)}"


def class_numbers(labels: Sequence[str], classifier: Classifier, optional: bool = False) -> list[int]:
    """The classifier's number of each of these labels; capitals, spaces and underscores do not count.

    Parameters
    ----------
    labels : sequence of str
    classifier : Classifier
    optional : bool
        Where it does not know one of them: give none at all, no error.

    Raises
    ------
    ParameterError
        If the classifier does not know one of them.
    """
    known = {_folded(label): i for i, label in enumerate(classifier.labels)}
    strange = [label for label in labels if _folded(label) not in known]
    if strange and optional:
        return []
    if strange:
        raise ParameterError(
            f"classifier {classifier.name!r} has no class {', '.join(map(repr, strange[:5]))} of the data set; use one that "
            "was trained on these classes, or classifier.targets=own, which takes what it says of the originals"
        )
    return [known[_folded(label)] for label in labels]


def _folded(label: str) -> str:
    return " ".join(label.casefold().replace("_", " ").split())


def check_gradients(classifier: Classifier) -> None:
    """Refuse a classifier that gives no gradients, before anything is trained.

    Raises
    ------
    UnsupportedError
    """
    length = max(classifier.minimum_length, classifier.sample_rate)
    length = min(length, classifier.maximum_length or length)
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


def _write(
    out: Path, autoencoder: Autoencoder, recipe: AutoencoderRecipe, result: dict[str, Any], data: Dataset
) -> None:
    """The folder; its results come last, as the sign that all is there."""
    card = autoencoder_card(autoencoder, recipe, result, data)
    folder = save_autoencoder(autoencoder, out / "model", card, half=recipe.half)
    content = {**result, "recipe": recipe.shareable(), **made_here()}
    write_text(folder / "results.json", json.dumps(content, indent=1) + "\n")
