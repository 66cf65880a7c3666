"""Models of transformers that are in memory already, and pipelines."""

from __future__ import annotations

import copy
from typing import Any

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.hf_check import check_front_end
from otoscope.classifiers.huggingface import audio_classifier, check_task, own_labels, quiet
from otoscope.core.errors import UnsupportedError
from otoscope.core.runtime import require


def from_transformers(model: Any, extractor: Any, name: str | None = None) -> Classifier:
    """A classifier of a transformers model in memory and its feature extractor.

    Parameters
    ----------
    model : PreTrainedModel
        For audio classification; a copy of it, in float32 and evaluation mode, is used.
    extractor : FeatureExtractor
        The model's own.
    name : str, optional
        By default the name that the model was loaded by, or its class.

    Returns
    -------
    Classifier
        As `load_huggingface` gives it, held against the extractor in the same way.

    Raises
    ------
    UnsupportedError
        If the model does not classify sounds, or there is no front end for the extractor.
    FrontEndMismatchError
    """
    transformers = require("transformers", "hf", "wrapping transformers models")
    config: Any = getattr(model, "config", None)
    title = name or getattr(model, "name_or_path", "") or type(model).__name__
    if type(config) not in transformers.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING or not hasattr(config, "id2label"):
        raise UnsupportedError(f"{title} is a {type(model).__name__}, which does not classify sounds")
    check_task(title, config, extractor)
    extractor = copy.deepcopy(extractor)
    if getattr(extractor, "dither", 0):
        extractor.dither = 0.0
    with quiet(transformers):
        own = copy.deepcopy(model).float().cpu().eval()
        classifier, reference = audio_classifier(own, extractor, own_labels(config), title)
        classifier.name = title
        classifier.info |= {"source": "memory", "model_type": config.model_type}
        check_front_end(classifier, extractor, reference)
    return classifier
