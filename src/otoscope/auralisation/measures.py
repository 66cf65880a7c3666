"""How far a sound that was made for a feature serves it: numbers of the sound as it is heard by the network again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from otoscope.audio import AudioSource
from otoscope.classifiers import Classifier
from otoscope.explanation.scoring import score_sound

SILENT = 1e-3  # of the response to the standard sounds (-60 dB): what is below is no response


@dataclass(frozen=True)
class FeatureMeasures:
    """Responses of a feature to a kept and a removed sound, beside those of the other features of its layer.

    Parameters
    ----------
    strength : float
        Response to the original, over the feature's reference (its response to the standard sounds).
    kept, removed : float
        Share of the response to the original that the part still draws; above 1 where it draws more.
    selectivity, selectivity_removed : float
        That share over the mean share of the other features that respond to the original; NaN without any.

    Examples
    --------
    >>> FeatureMeasures(2.0, 0.9, 0.2, 3.0, 0.5).kept
    0.9
    """

    strength: float
    kept: float
    removed: float
    selectivity: float
    selectivity_removed: float


def feature_responses(features: Classifier, sound: AudioSource, batch_size: int = 16) -> np.ndarray:
    """Responses of a layer's features to a sound over their references, ``(feature,)``.

    Parameters
    ----------
    features : Classifier
        What `layer_features` gives, not exclusive.
    sound : AudioSource or Clip
        Of any rate and length; of a long one, the odds of the mean probability over its windows.
    batch_size : int
        Most windows in one pass.

    Examples
    --------
    >>> features = layer_features(build("vgg5", 2), "block1")
    >>> loud, soft = (feature_responses(features, Clip(a * noise, 11025)) for a in (0.2, 0.1))
    >>> bool(np.allclose(loud[loud > 0.1] / soft[loud > 0.1], 2, rtol=0.01))
    True
    """
    return odds(score_sound(sound, features, batch_size))


def odds(probabilities: np.ndarray) -> np.ndarray:
    """Odds of probabilities of any shape, in float64: of a feature, its response over its reference.

    Examples
    --------
    >>> odds(np.array([0.5, 0.75]))
    array([1., 3.])
    """
    p = probabilities.astype(np.float64)
    return p / np.maximum(1 - p, 1e-7)


def measure_feature(original: np.ndarray, kept: np.ndarray, removed: np.ndarray, number: int) -> FeatureMeasures:
    """Numbers of one feature from the responses of all features ``(feature,)`` to three sounds.

    Examples
    --------
    >>> measure_feature(np.array([1.0, 1.0, 1.0]), np.array([0.8, 0.1, 0.3]), np.array([0.2, 0.9, 0.7]), 0).selectivity
    4.0
    """
    others = original > SILENT
    others[number] = False

    def share(part: np.ndarray) -> tuple[float, float]:
        own = float(part[number] / max(original[number], 1e-12))
        rest = part[others] / original[others]
        return own, float(own / rest.mean()) if len(rest) and rest.mean() > 0 else float("nan")

    (kept_share, selective), (removed_share, other) = share(kept), share(removed)
    return FeatureMeasures(float(original[number]), kept_share, removed_share, selective, other)
