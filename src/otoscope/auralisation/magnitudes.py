"""Auralisation as the paper describes it: the magnitudes that a feature goes back to, with the phase of the sound."""

from __future__ import annotations

import numpy as np
import torch

from otoscope.attribution.deconvolution import deconvolve
from otoscope.audio import AudioSource, downmix, fit_length, resample
from otoscope.classifiers import Classifier
from otoscope.core.errors import UnsupportedError
from otoscope.core.records import Clip
from otoscope.explanation.windows import windows_of
from otoscope.spectral import LinearStft
from otoscope.spectral.inversion import synthesise


def feature_magnitudes(features: Classifier, sound: AudioSource, number: int) -> Clip:
    """The magnitudes that one feature of a layer goes back to, with the phase of the sound.

    Parameters
    ----------
    features : Classifier
        What `layer_features` makes of a network that takes the magnitudes of an STFT, such as ``vgg5``.
    sound : AudioSource or Clip
        No longer than the classifier hears at once.
    number : int
        The feature.

    Returns
    -------
    Clip
        One channel at the classifier's rate. Levels can be compared between the features of a layer.

    Raises
    ------
    UnsupportedError
        If the network takes other features, or the sound is too long.

    Notes
    -----
    Source: choi2015auralisation, as the paper describes it; its program multiplies the complex STFT instead, which is what the
    method ``deconvolution`` with the mask ``positive`` does. Negative values count as 0.

    Examples
    --------
    >>> features = layer_features(build("vgg5", 2), "block1")
    >>> feature_magnitudes(features, Clip(noise, 11025), 17).sample_rate
    11025
    """
    front = features.frontend
    if not isinstance(front, LinearStft) or front.unit != "magnitude" or front.shift or front.divisor != 1:
        raise UnsupportedError(
            f"what {features.name!r} takes are no magnitudes of an STFT, so they cannot be given a phase; use the mode mask"
        )
    if len(windows_of(sound, features)) > 1:
        raise UnsupportedError(
            "the mode magnitude takes sounds that are heard at once; give a shorter one, or use mask"
        )
    mono = downmix(sound.read(0, sound.frames))
    x = torch.from_numpy(np.array(resample(mono[None], sound.sample_rate, features.sample_rate)[0], np.float32))
    magnitude = deconvolve(features, x, [number])[0].clamp_min(0).to(features.device)  # (freq, frame)
    with torch.no_grad():
        spec = front.stft(features.pad(x[None].to(features.device)))[0]  # (frame, freq)
        made = synthesise(torch.polar(magnitude.T.contiguous(), spec.angle()), front).cpu()
    return Clip(fit_length(made.numpy()[None], len(x)), features.sample_rate, f"feature {number} of {sound.source}")
