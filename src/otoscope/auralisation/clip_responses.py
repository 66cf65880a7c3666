"""How strongly clips draw features, how much features matter to what the classifier decides, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from otoscope.attribution.base import log_odds
from otoscope.auralisation.responses import power_in_time
from otoscope.classifiers import Classifier
from otoscope.classifiers.layer_maps import read_maps, record_layer_maps
from otoscope.core.errors import ParameterError
from otoscope.datasets import Example, waveform
from otoscope.surgery import preserve_state, record_layers


class ClipResponses(NamedTuple):
    """Of the features of one layer and some clips.

    Parameters
    ----------
    strength : ndarray (clip, feature), float32
        Root mean square of the map less that of silence.
    relevance : ndarray (clip, feature), float32
        Sum over the map of its gradient for the decision times its difference from silence, in size: how much the log odds of the
        decision change without it, to first order. NaN for classifiers without gradients.
    peak_s : ndarray (clip, feature), float32, s
        When the response is strongest.
    """

    strength: np.ndarray
    relevance: np.ndarray
    peak_s: np.ndarray


def clip_responses(
    classifier: Classifier, layers: Sequence[str], examples: Sequence[Example]
) -> dict[str, ClipResponses]:
    """Responses of layers' features to clips, in one forward and one backward pass a clip.

    Parameters
    ----------
    classifier : Classifier
        It stays as it is.
    layers : sequence of str
        Dotted names of layers with maps over time.
    examples : sequence of Example
        The clips; of a longer one than the classifier takes at once (30 s without a limit), the first window.

    Returns
    -------
    dict of ClipResponses
        For each layer.
    """
    if not examples:
        raise ParameterError("there are no clips")
    rows: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {name: [] for name in layers}
    quiet: dict[int, dict[str, Tensor]] = {}
    limit = classifier.maximum_length or 30 * classifier.sample_rate
    for example in examples:
        sound = torch.from_numpy(np.array(waveform(example, classifier.sample_rate)[:limit], np.float32))
        if len(sound) not in quiet:
            quiet = {len(sound): record_layer_maps(classifier, torch.zeros_like(sound)[None], layers)}
        maps, gradients = _pass(classifier, layers, sound, classifier.differentiable)
        seconds = max(len(sound), classifier.minimum_length) / classifier.sample_rate
        for name in layers:
            rows[name].append(_numbers(maps[name] - quiet[len(sound)][name], gradients.get(name), seconds))
    return {name: ClipResponses(*(np.stack(part) for part in zip(*found, strict=True))) for name, found in rows.items()}


def _pass(
    classifier: Classifier, layers: Sequence[str], sound: Tensor, backward: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Maps of the layers, ``(1, feature, ..., frame)``, and their gradients for the classifier's decision."""
    with preserve_state(classifier), torch.set_grad_enabled(backward):
        given = (
            classifier.given(sound[None].to(classifier.device)).detach().to(classifier.dtype).requires_grad_(backward)
        )
        with record_layers(classifier.network, layers) as outputs:
            logits = classifier.logits(given)
        maps = read_maps(classifier, outputs, 1)
        gradients: dict[str, Tensor] = {}
        if backward:
            decided = log_odds(logits, logits.detach().argmax(1), classifier.multilabel)[0]
            wanted = [n for n in layers if outputs[n][0].requires_grad]
            found = torch.autograd.grad(decided, [outputs[n][0] for n in wanted], allow_unused=True)
            gradients = read_maps(classifier, {n: [g] for n, g in zip(wanted, found, strict=True) if g is not None}, 1)
        return maps, gradients


def _numbers(change: Tensor, gradient: Tensor | None, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strength, relevance and time of the strongest response of each feature."""
    over_time = power_in_time(change)[0]  # (feature, frame)
    n_features, n = over_time.shape
    relevance = torch.full((n_features,), torch.nan)
    if gradient is not None:
        relevance = (change * gradient)[0].flatten(1).sum(1).abs()
    peak = (over_time.argmax(1).float() + 0.5) * seconds / n
    return over_time.mean(1).sqrt().cpu().numpy(), relevance.cpu().numpy(), peak.cpu().numpy()
