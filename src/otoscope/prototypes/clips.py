"""Clips as a prototype network sees them: latent maps, decisions, nearest prototypes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import fit_length
from otoscope.classifiers.apnet import ApNet
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.labels import class_numbers
from otoscope.classifiers.prototype_network import prototype_network
from otoscope.core.errors import ParameterError
from otoscope.datasets import Dataset, Example, waveform

BATCH = 32


@dataclass(frozen=True)
class EncodedClips:
    """Latent maps of clips, of which each is one window of the network.

    Parameters
    ----------
    examples : tuple of Example
        The clips.
    maps : Tensor (clip, channel, freq, frame)
        What the encoder makes of each, on the CPU.
    targets : Tensor (clip,)
        Their classes, as the classifier numbers them.
    checksums : tuple of int
        Of the samples that the network was given; empty if they are not known.

    Examples
    --------
    >>> clips.maps.shape  # 18 clips
    torch.Size([18, 4, 4, 3])
    """

    examples: tuple[Example, ...]
    maps: Tensor
    targets: Tensor
    checksums: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)


def window(classifier: Classifier, example: Example) -> np.ndarray:
    """What the network sees of a clip: its first window, ``(time,)`` at the network's rate, padded with silence."""
    length = classifier.maximum_length or classifier.minimum_length
    return fit_length(waveform(example, classifier.sample_rate)[:length].copy(), length)


def encode_clips(
    classifier: Classifier, data: Dataset, batch_size: int = BATCH, progress: Callable[[int], None] | None = None
) -> EncodedClips:
    """Latent maps of the clips of a data set, in one pass of the encoder each.

    Parameters
    ----------
    classifier : Classifier
        A prototype network.
    data : Dataset
        Its clips; labels are matched to those of the classifier by name.
    batch_size : int
        Clips in a pass.
    progress : callable, optional
        Called with the number of clips that are done, after each batch.

    Returns
    -------
    EncodedClips

    Raises
    ------
    OtoscopeError
        If the data set has no clips or a class that the classifier does not know, or a file cannot be read.

    Examples
    --------
    >>> len(encode_clips(model, data))
    18
    """
    network = prototype_network(classifier)
    if not len(data):
        raise ParameterError(f"data set {data.name!r} has no clips in these folds; choose others")
    numbers = class_numbers(data.labels, classifier)
    maps, sums = [], []
    with torch.no_grad():
        for start in range(0, len(data), batch_size):
            sounds = np.stack([window(classifier, e) for e in data.examples[start : start + batch_size]])
            sums += [zlib.crc32(sound.tobytes()) for sound in sounds]
            features = classifier.features(torch.from_numpy(sounds).to(classifier.device))
            maps.append(network.encoder(features.to(classifier.dtype)).map.float().cpu())
            if progress is not None:
                progress(min(start + batch_size, len(data)))
    targets = torch.tensor([numbers[e.index] for e in data.examples])
    return EncodedClips(tuple(data.examples), torch.cat(maps), targets, tuple(sums))


@torch.no_grad()
def decide(network: ApNet, clips: EncodedClips) -> tuple[Tensor, Tensor]:
    """Logits ``(clip, class)`` of the clips, and their distances from the prototypes ``(clip, prototype)``."""
    weights = network.out.weight
    parts = [network.decide(part.to(weights)) for part in clips.maps.split(256)]
    return torch.cat([a.float().cpu() for a, _ in parts]), torch.cat([b.float().cpu() for _, b in parts])


def accuracy(network: ApNet, clips: EncodedClips) -> float:
    """Share of the clips that are given their class.

    Examples
    --------
    >>> accuracy(prototype_network(model), clips)
    1.0
    """
    return float((decide(network, clips)[0].argmax(1) == clips.targets).float().mean())
