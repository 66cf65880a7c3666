"""The card of a trained autoencoder."""

from __future__ import annotations

from typing import Any

from otoscope.autoencoders import Autoencoder
from otoscope.datasets import Dataset
from otoscope.training.autoencoder.settings import AutoencoderRecipe
from otoscope.training.card import about_data, about_training, fill, made_today, percent


def autoencoder_card(autoencoder: Autoencoder, recipe: AutoencoderRecipe, result: dict[str, Any], data: Dataset) -> str:
    """Markdown: what it is, to what it was tuned, data and licence, how it was trained, what it scores, where it ends."""
    config, info = autoencoder.config, autoencoder.info
    tuned = info.get("tuned_to")
    task = (
        f"Tuned by the loss of the frozen classifier `{tuned['name']}` (weights {tuned['sha256'][:12]}) on its "
        "reconstructions: what they keep and drop tells what that classifier likes to hear. Behind another classifier its "
        "sound tells nothing about that one."
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
            f"Of {share} the classifier says the same as of the original. "
            if result["right_is"] == "original"
            else f"The classifier is right on {share} and on {100 * result['accuracy_original']:.1f} % of the originals. "
        )
    return said + made_today()
