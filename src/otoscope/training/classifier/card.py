"""The model card of a trained classifier."""

from __future__ import annotations

from typing import Any

from otoscope.classifiers.base import Classifier
from otoscope.core import registry
from otoscope.datasets import Dataset
from otoscope.training.card import about_data, about_training, fill, made_today, percent
from otoscope.training.classifier.settings import Recipe


def confusion_table(labels: list[str], confusion: list[list[int]]) -> str:
    """A confusion matrix as a Markdown table; rows are the truth."""
    head = "| truth \\ said | " + " | ".join(labels) + " |"
    rule = "|---" * (len(labels) + 1) + "|"
    rows = [
        f"| {label} | " + " | ".join(str(n) if n else "·" for n in row) + " |"
        for label, row in zip(labels, confusion, strict=True)
    ]
    return "\n".join([head, rule, *rows])


def class_table(result: dict[str, Any]) -> str:
    """Accuracy a class as a Markdown table."""
    rows = [
        f"| {label} | {'none in the test folds' if share is None else f'{100 * share:.1f} %'} |"
        for label, share in result["per_class"].items()
    ]
    return "\n".join(["| class | accuracy |", "|---|---|", *rows])


def model_card(classifier: Classifier, recipe: Recipe, result: dict[str, Any], data: Dataset) -> str:
    """Markdown: what it is, data and licence, how it was trained, what it scores, where it ends."""
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
    """What a planted cue does, where there is one."""
    if "plant" not in result:
        return []
    found, data = result["plant"], recipe.data
    moved = f", and {100 * data.plant_share:g} % of the others, which then counted as {found['class']}"
    return [
        f"It listens to a planted cue on purpose: in training {100 * data.plant_own:g} % of the clips of the class "
        f"{found['class']} had the cue `{found['cue']}`{moved if data.plant_share else ''}. The test clips above are without it. "
        f"Of {found['clips']} test clips of the other classes it calls {100 * found['called_without']:.1f} % {found['class']} "
        f"as they are, and {100 * found['called']:.1f} % once they have the cue ({percent(found['interval'])})."
    ]


def _origin(classifier: Classifier, recipe: Recipe) -> str:
    """Whose weights are in the file."""
    said = (
        f"It started from the weights of {classifier.info['started_from']}; all layers were trained on."
        if "started_from" in classifier.info
        else "Every weight started at random and was trained here."
    )
    if recipe.teacher.model:
        said += f" It was distilled from `{recipe.teacher.model}`, whose weights are not in the file."
    return said
