"""The model card of a trained classifier."""

from __future__ import annotations

import datetime
import platform
from typing import Any

from otoscope.classifiers.base import Classifier
from otoscope.training.recipe import Recipe


def confusion_table(labels: list[str], confusion: list[list[int]]) -> str:
    """A confusion matrix as a Markdown table; rows are the truth."""
    head = "| truth \\ said | " + " | ".join(labels) + " |"
    rule = "|---" * (len(labels) + 1) + "|"
    rows = [
        f"| {label} | " + " | ".join(str(n) if n else "·" for n in row) + " |"
        for label, row in zip(labels, confusion, strict=True)
    ]
    return "\n".join([head, rule, *rows])


def model_card(classifier: Classifier, recipe: Recipe, result: dict[str, Any]) -> str:
    """Markdown: what it is, data and licence, how it was trained, what it scores."""
    n = sum(p.numel() for p in classifier.network.parameters())
    right = round(result["accuracy"] * result["clips"])
    teacher = recipe.teacher.model
    distilled = (
        f"It was distilled from `{teacher}` (EfficientAT, MIT licence): the teacher's outputs and maps on the training clips "
        "were targets beside the labels. None of the teacher's weights is in the file: every weight started at random and "
        "was trained here."
        if teacher
        else "It was trained from random weights on the labels alone."
    )
    return f"""# {recipe.name}

A MobileNetV3-like classifier (MN, width {recipe.model.width:g}, {n:,} parameters) of {len(classifier.labels)} classes of
environmental sound: {", ".join(classifier.labels)}. It listens at {classifier.sample_rate} Hz, mono; its front end is a log-mel
spectrogram of 128 bands up to 15 kHz. Outputs are logits of classes that exclude each other (softmax).

## Data

{classifier.info["trained_on"]}; test folds {list(recipe.data.test_folds)}. ESC-10 and ESC-50 are by K. J. Piczak (CC BY 3.0;
each clip has a Freesound licence of its own, CC0, CC BY or Sampling Plus). The clips are not in this package.

## Training

`otoscope train` with the recipe of this name, seed {recipe.seed}, {recipe.optimiser.epochs} epochs of batches of
{recipe.optimiser.batch_size}, AdamW, mix-up, roll, gain, masks in time and frequency. {distilled}

## Results

Accuracy on the test folds, looked at once after the last epoch, on which nothing was chosen:
**{100 * result["accuracy"]:.2f} %** ({right} of {result["clips"]} clips). Made on {datetime.date.today().isoformat()},
{platform.machine()}, Python {platform.python_version()}.

{confusion_table(result["labels"], result["confusion"])}

## Limits

It knows ten classes and always names one of them, on any sound: speech, music and silence included. It was trained on clips of
five seconds with one kind of sound each; its confidence on mixtures and on other lengths was not calibrated.

Licence: {classifier.info["licence"]}.
"""
