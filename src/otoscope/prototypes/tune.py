"""Tuning of prototypes, their weights over frequency and the last layer, on latent maps that stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from otoscope.classifiers.base import Classifier
from otoscope.core.errors import NonFiniteError, ParameterError
from otoscope.prototypes.clips import EncodedClips, prototype_network
from otoscope.prototypes.edit import list_prototypes, owners, rebuilt


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
    seed : int
        Of the order of the clips.

    Examples
    --------
    >>> TuneSettings(epochs=5).lr
    0.001
    """

    epochs: int = 20
    lr: float = 1e-3
    batch_size: int = 32
    pull: float = 0.1
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
    The latent maps of the clips are computed once, without augmentation; to train the whole network, use ``otoscope train`` with
    ``model.start``.

    Examples
    --------
    >>> tuned = tune(delete(model, ["p1"]), clips, TuneSettings(epochs=3))
    >>> accuracy(tuned.network, clips)
    1.0
    """
    settings = settings or TuneSettings()
    network = prototype_network(classifier)
    parts = [network.prototypes.maps, network.prototypes.weights, network.out.weight]
    made = rebuilt(classifier, (parts[0], parts[1], parts[2]), list_prototypes(classifier))
    tuned = prototype_network(made)
    optimiser = torch.optim.Adam([*tuned.prototypes.parameters(), *tuned.out.parameters()], lr=settings.lr)
    order = torch.Generator().manual_seed(settings.seed)
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        for numbers in torch.randperm(len(clips), generator=order).split(settings.batch_size):
            logits, distances = tuned.decide(clips.maps[numbers].to(made.device))
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
