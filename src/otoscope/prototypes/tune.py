"""Tuning of prototypes, their weights over frequency and the last layer, on latent maps that stay as they are."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.prototype_network import editable_network, list_prototypes, owners, prototype_network
from otoscope.core.errors import NonFiniteError, OtoscopeError, ParameterError
from otoscope.prototypes.clips import EncodedClips, window
from otoscope.prototypes.edit import rebuilt

GAIN_DB, SHIFT = 12.0, 0.1


@dataclass(frozen=True)
class TuneSettings:
    """How prototypes are tuned.

    Parameters
    ----------
    epochs : int in [1, 1000]
        Passes over the clips.
    lr : float in (0, 1]
        Learning rate of Adam.
    batch_size : int
        Clips in a step.
    pull : float, at least 0
        Weight of the distances between prototypes and clips, relative to that of the cross entropy; it keeps prototypes near clips.
    augment : bool
        Change level (by up to 12 dB) and place (by up to a tenth of the window) of each clip, anew in each epoch. Without it,
        tuning is faster, and overfits the training clips within a few epochs.
    seed : int
        Of the order of the clips and of their changes.

    Examples
    --------
    >>> TuneSettings(epochs=8).lr
    0.0001
    """

    epochs: int = 5
    lr: float = 1e-4
    batch_size: int = 32
    pull: float = 0.1
    augment: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        limits = (
            ("epochs", 1, 1000, int), ("lr", 0, 1, float), ("batch_size", 1, 4096, int), ("pull", 0, 1000, float),
            ("seed", 0, 2**31 - 1, int),
        )  # fmt: skip
        for name, low, high, kind in limits:
            value = getattr(self, name)
            right = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
            if not right or not low <= value <= high or (name == "lr" and value == 0):
                raise ParameterError(f"{name} must be {kind.__name__} from {low} to {high}; got {value!r}")
        if not isinstance(self.augment, bool):
            raise ParameterError(f"augment must be true or false; got {self.augment!r}")


def tune(
    classifier: Classifier,
    clips: EncodedClips,
    settings: TuneSettings | None = None,
    progress: Callable[[int, float], bool] | None = None,
) -> Classifier:
    """A network whose prototypes and votes are trained further, while encoder and decoder stay.

    Parameters
    ----------
    classifier : Classifier
        A prototype network; it stays as it is.
    clips : EncodedClips
        To train on.
    settings : TuneSettings, optional
        How.
    progress : callable, optional
        Called after each epoch with its number and the mean loss; a true result stops the tuning.

    Returns
    -------
    Classifier
        The same settings and clips give the same weights.

    Raises
    ------
    NonFiniteError
        If the loss is not finite.
    ParameterError
        If a class would be left without a prototype that votes for it most.

    Notes
    -----
    To train the whole network further, use ``otoscope train`` with ``model.start``.

    Examples
    --------
    >>> tuned = tune(delete(model, ["p1"]), clips, TuneSettings(epochs=3))
    >>> accuracy(tuned.network, clips)
    1.0
    """
    settings = settings or TuneSettings()
    network = editable_network(classifier)
    parts = [network.prototypes.maps, network.prototypes.weights, network.out.weight]
    made = rebuilt(classifier, (parts[0], parts[1], parts[2]), list_prototypes(classifier))
    tuned = prototype_network(made)
    optimiser = torch.optim.Adam([*tuned.prototypes.parameters(), *tuned.out.parameters()], lr=settings.lr)
    order = torch.Generator().manual_seed(settings.seed)
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        for numbers in torch.randperm(len(clips), generator=order).split(settings.batch_size):
            maps = _changed(made, clips, numbers, order) if settings.augment else clips.maps[numbers]
            logits, distances = tuned.decide(maps.to(tuned.out.weight))
            loss = nn.functional.cross_entropy(logits, clips.targets[numbers].to(made.device))
            pull = distances.amin(0).mean() + distances.amin(1).mean()
            loss = loss + settings.pull * pull
            if not torch.isfinite(loss):
                raise NonFiniteError(
                    f"the loss is {loss.item()} in epoch {epoch}; lower lr. The network is as it was before"
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            tuned.constrain()
            total += float(loss.detach()) * len(numbers)
        if progress is not None and progress(epoch, total / len(clips)):
            break
    made.requires_grad_(False).requires_grad_()
    if lost := sorted(set(owners(classifier)) - set(owners(made))):
        names = ", ".join(classifier.labels[c] for c in lost)
        raise ParameterError(
            f"after the tuning no prototype votes for class {names} most; lower lr or epochs, or add a prototype of the class"
        )
    return made


def _changed(classifier: Classifier, clips: EncodedClips, numbers: Tensor, drawn: torch.Generator) -> Tensor:
    """Latent maps of clips that are louder or softer and shifted around."""
    sounds = torch.from_numpy(np.stack([_unchanged(classifier, clips, i) for i in numbers.tolist()]))
    db = (2 * torch.rand(len(sounds), 1, generator=drawn) - 1) * GAIN_DB
    most = int(SHIFT * sounds.shape[1])
    shifts = torch.randint(-most, most + 1, (len(sounds),), generator=drawn).tolist()
    sounds = torch.stack([torch.roll(sound, shift) for sound, shift in zip(sounds, shifts, strict=True)])
    with torch.no_grad():
        features = classifier.features((sounds * 10 ** (db / 20)).to(classifier.device))
        return prototype_network(classifier).encoder(features.to(classifier.dtype)).map.float()


def _unchanged(classifier: Classifier, clips: EncodedClips, number: int) -> np.ndarray:
    """A clip's window, if it is what was encoded."""
    sound = window(classifier, clips.examples[number])
    if clips.checksums and zlib.crc32(sound.tobytes()) != clips.checksums[number]:
        raise OtoscopeError(
            f"{clips.examples[number].path} was changed since it was encoded; begin again with the clips as they are"
        )
    return sound
