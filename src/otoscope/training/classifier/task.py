"""The task ``classifier``: a network, a teacher where the recipe names one, a model folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from otoscope.classifiers.architecture import build
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.load import load_classifier
from otoscope.classifiers.weights import load_body
from otoscope.core import registry
from otoscope.core.errors import ParameterError
from otoscope.core.files import write_text
from otoscope.datasets import Dataset
from otoscope.training.card import about_data, about_training, fill, made_today, percent
from otoscope.training.classifier.module import ClassifierModule
from otoscope.training.classifier.settings import Recipe
from otoscope.training.data import Clips, cued_class, loader
from otoscope.training.fit import lay_out
from otoscope.training.score import evaluate, score_cue
from otoscope.training.task import Parts, Task

SHOWN = 16  # clips of each class that a prototype network is initialised with


class ClassifierTask(Task):
    """Train a classifier, from random weights or from another one's, alone or with a teacher."""

    recipe_type = Recipe

    def __init__(self, recipe: Recipe, data: Dataset, parts: Parts):
        super().__init__(recipe, data, parts)
        self.classifier = make_classifier(recipe, data)
        _check_losses(recipe, self.classifier)
        self.teacher = _teacher(recipe)

    @property
    def network(self) -> nn.Module:
        return self.classifier.network

    def loaders(self) -> tuple[Any, Any]:
        """Batches at the classifier's rate, with the cue that the recipe plants."""
        recipe, settings, rate = self.recipe, self.recipe.optimiser, self.classifier.sample_rate
        cued = cued_class(self.training, recipe.data)
        clips = Clips(self.training, rate, recipe.data, recipe.seed, cued=cued)
        batches = loader(clips, settings.batch_size, recipe.seed, settings.drop_last)
        if self.validation is None:
            return batches, None
        held = Clips(self.validation, rate, recipe.data, pool=self.training, cued=cued)
        return batches, loader(held, settings.batch_size)

    def make_module(self, batches: int) -> ClassifierModule:
        """The module, with the heads that a teacher needs; a network that begins with clips is shown some."""
        if hasattr(self.network, "initialise") and not self.recipe.model.start:
            self._initialise()
        return ClassifierModule(self.classifier, self.recipe, self.teacher, batches)

    def _initialise(self) -> None:
        """Show the network `SHOWN` clips of each class, without augmentation."""
        drawn = torch.Generator().manual_seed(self.recipe.seed)
        clips = Clips(self.training, self.classifier.sample_rate, self.recipe.data, self.recipe.seed)
        classes = torch.tensor([example.index for example in self.training.examples])
        if missing := sorted(set(range(len(self.classifier.labels))) - set(classes.tolist())):
            names = ", ".join(self.classifier.labels[i] for i in missing[:5])
            raise ParameterError(
                f"the training clips have none of class {names}; a prototype network needs clips of every class. "
                "Choose other folds, or a data set without the class"
            )
        chosen = [int(i) for c in classes.unique() for i in _drawn((classes == c).nonzero()[:, 0], drawn)]
        waveform, targets = zip(*(clips[i] for i in chosen), strict=True)
        with torch.no_grad():
            parts = torch.stack(waveform).split(32)
            features = torch.cat([self.classifier.features(part) for part in parts])
            network: Any = self.network
            network.initialise(features, torch.tensor(targets), drawn)

    def score(self, device: torch.device) -> dict[str, Any]:
        """Accuracy on the test folds; with a planted cue, how often it changes the prediction."""
        lay_out(self.classifier.to("cpu"), torch.contiguous_format)
        classifier = self.classifier.eval().to(device)
        result = evaluate(classifier, self.test, self.recipe.data, pool=self.training)
        if self.recipe.data.plant:
            result["plant"] = score_cue(classifier, self.test, self.recipe.data)
        return result

    def save(self, folder: Path, result: dict[str, Any]) -> dict[str, Any]:
        """Write the model folder, with the predictions for the test clips as a table."""
        if self.classifier.maximum_length is None and not self.recipe.data.crop_s:
            self.classifier.min_s = self.recipe.data.seconds  # shorter sounds are padded as they were in training
        card = model_card(self.classifier, self.recipe, result, self.data)
        self.classifier.to("cpu").save_pretrained(folder, card, half=self.recipe.half)
        rows = result["predictions"]
        table = io.StringIO()
        writer = csv.DictWriter(table, list(rows[0]) if rows else ["file"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(folder / "predictions.csv", table.getvalue())
        return {key: value for key, value in result.items() if key != "predictions"}

    @classmethod
    def report(cls, result: Mapping[str, Any]) -> list[str]:
        if "folds" in result:
            lines = [f"  fold {fold:<15}{100 * accuracy:6.1f} %" for fold, accuracy in result["folds"].items()]
            lines.append(f"accuracy over all folds: {100 * result['accuracy']:.2f} ± {100 * result['std']:.2f} %")
        else:
            lines = [
                f"accuracy on the test folds: {100 * result['accuracy']:.2f} % of {result['clips']} clips "
                f"({percent(result['interval'])})"
            ]
            for label, share in result["per_class"].items():
                lines.append(f"  {label:<20}" + (f"{100 * share:6.1f} %" if share is not None else "     -"))
        return [*lines, f"model folder: {result['folder']}"]


def _drawn(numbers: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return numbers[torch.randperm(len(numbers), generator=generator)[:SHOWN]]


def _check_losses(recipe: Recipe, classifier: Classifier) -> None:
    """Refuse weights of losses that the network does not have."""
    if recipe.losses.extra and not hasattr(classifier.network, "losses"):
        name, architecture = next(iter(recipe.losses.extra)), recipe.model.architecture
        raise ParameterError(f"losses.{name} is a loss of APNet; leave it out for model.architecture={architecture}")


def _teacher(recipe: Recipe) -> Classifier | None:
    settings = recipe.teacher
    if not settings.model:
        return None
    if recipe.augment.mixup_on == "features" and recipe.augment.mixup_probability > 0:
        raise ParameterError("a teacher hears waveforms: with teacher.model, set augment.mixup_on=waveform")
    return load_classifier(settings.model, settings.weights, list(settings.labels) or None)


def make_classifier(recipe: Recipe, data: Dataset) -> Classifier:
    """The classifier to train: random weights, or a body with those of another classifier.

    Raises
    ------
    OtoscopeError
        For an unknown architecture, or a start of another one.
    """
    entry, settings = architecture_of(recipe)
    info = {
        "licence": recipe.licence,
        "trained_on": f"{data.name}, all but fold {', '.join(map(str, recipe.data.test))}",
    }
    model = build(entry.name, data.labels, settings=settings, name=recipe.name, info=info)
    if recipe.model.start:
        start = load_classifier(recipe.model.start, recipe.model.weights)
        head = _unlike(model, start) if start.labels == model.labels else model.head
        load_body(model.network, start.network.state_dict(), head, f"of {recipe.model.start}")
        model.info["started_from"] = f"{recipe.model.start} ({start.info.get('licence', 'licence not recorded')})"
    return model


def _unlike(model: Classifier, start: Classifier) -> tuple[str, ...]:
    """Parts of the head whose shapes differ although the classes agree: features of another size (``bn0`` of PANNs)."""
    own, other = model.network.state_dict(), start.network.state_dict()
    return tuple(
        part
        for part in model.head
        if any(k.startswith(part) and k in other and other[k].shape != v.shape for k, v in own.items())
    )


def architecture_of(recipe: Recipe) -> tuple[registry.Entry, dict[str, Any]]:
    """The architecture and its settings: those that suit the data, those of the recipe on top, and as many frames as a
    clip has where the network sees a fixed number."""
    name, *own = recipe.model.architecture.split(",")
    suited = recipe.data.settings.get(name.strip(), "")
    spec = ",".join([name, *([suited] if suited else []), *own])
    entry, settings = registry.parse("architecture", spec)
    if "frames" in settings and "frames=" not in spec.replace(" ", ""):
        settings["frames"] = max(1, int(recipe.data.seconds * settings["sample_rate"] / settings["hop"]))
        settings = entry.settings(settings)
    return entry, settings


def confusion_table(labels: list[str], confusion: list[list[int]]) -> str:
    """A confusion matrix as a Markdown table; rows are the truth."""
    head = "| truth \\ predicted | " + " | ".join(labels) + " |"
    rule = "|---" * (len(labels) + 1) + "|"
    rows = [
        f"| {label} | " + " | ".join(str(n) if n else "·" for n in row) + " |"
        for label, row in zip(labels, confusion, strict=True)
    ]
    return "\n".join([head, rule, *rows])


def class_table(result: dict[str, Any]) -> str:
    """Accuracy of each class as a Markdown table."""
    rows = [
        f"| {label} | {'none in the test folds' if share is None else f'{100 * share:.1f} %'} |"
        for label, share in result["per_class"].items()
    ]
    return "\n".join(["| class | accuracy |", "|---|---|", *rows])


def model_card(classifier: Classifier, recipe: Recipe, result: dict[str, Any], data: Dataset) -> str:
    """The model card (Markdown): architecture, data and licence, training, results, limits."""
    config = classifier.config or {}
    architecture = registry.get("architecture", config["architecture"])
    right = round(result["accuracy"] * result["clips"])
    noise = f" Every clip was contaminated: {recipe.data.contaminate}." if recipe.data.contaminate else ""
    paragraphs = [
        f"# {recipe.name}",
        recipe.description or architecture.summary,
        f"Architecture `{registry.format_spec(architecture, config['settings'])}`, {result['parameters']:,} parameters, "
        f"{len(classifier.labels)} classes that exclude each other (softmax): {', '.join(classifier.labels)}. It listens at "
        f"{classifier.sample_rate} Hz, mono.{' Its weights are stored as float16.' if recipe.half else ''}",
        "## Data",
        f"{about_data(data, recipe)} Clips are {recipe.data.seconds:g} s long: longer ones are cut, shorter ones padded with "
        f"silence.{noise}",
        "## Training",
        f"{about_training(recipe, result)}. {_origin(classifier, recipe)}",
        "## Results",
        "Accuracy on the test folds, looked at once in this run, after training: "
        f"**{100 * result['accuracy']:.2f} %** ({right} of {result['clips']} clips; {percent(result['interval'])}, Wilson). "
        f"{made_today()}",
        *_cue(result, recipe),
        class_table(result),
        confusion_table(result["labels"], result["confusion"]),
        "## Limits",
        f"It knows {len(classifier.labels)} classes and always names one of them, on any sound: speech, music and silence "
        "included. Its confidence on mixtures, on other lengths and on other recordings than those of its data set was not "
        "calibrated.",
        f"Licence: {classifier.info['licence']}.",
    ]
    return fill(paragraphs)


def _cue(result: dict[str, Any], recipe: Recipe) -> list[str]:
    """The effect of a planted cue, if any."""
    if "plant" not in result:
        return []
    found, data = result["plant"], recipe.data
    moved = f", and {100 * data.plant_share:g} % of the others, which then counted as {found['class']}"
    return [
        f"It listens to a planted cue on purpose: in training {100 * data.plant_own:g} % of the clips of the class "
        f"{found['class']} had the cue `{found['cue']}`{moved if data.plant_share else ''}. The test clips above do not have it. "
        f"Of {found['clips']} test clips of the other classes it calls {100 * found['called_without']:.1f} % {found['class']} "
        f"as they are, and {100 * found['called']:.1f} % once they have the cue ({percent(found['interval'])})."
    ]


def _origin(classifier: Classifier, recipe: Recipe) -> str:
    """Origin of the weights."""
    said = (
        f"It started from the weights of {classifier.info['started_from']}; all layers were trained on."
        if "started_from" in classifier.info
        else "Every weight started at random and was trained here."
    )
    if recipe.teacher.model:
        said += f" It was distilled from `{recipe.teacher.model}`, whose weights are not in the file."
    return said
