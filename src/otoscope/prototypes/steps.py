"""Automatic refinement in steps, each with its size and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.prototype_network import prototype_network
from otoscope.datasets import Dataset
from otoscope.prototypes.clips import EncodedClips, accuracy, encode_clips
from otoscope.prototypes.refine import refine_channels, refine_prototypes
from otoscope.prototypes.tune import TuneSettings, tune


@dataclass(frozen=True)
class RefinementStep:
    """A network after one step.

    Parameters
    ----------
    name : str
        ``as it was``, ``prototypes merged``, ``channels dropped`` or ``tuned``.
    classifier : Classifier
        The network.
    accuracy : dict of str to float
        Share of the clips of each part that are given their class.

    Examples
    --------
    >>> RefinementStep("as it was", model, {"training": 1.0}).sizes()
    {'prototypes': 6, 'channels': 4, 'parameters': 2151}
    """

    name: str
    classifier: Classifier
    accuracy: dict[str, float]

    def sizes(self) -> dict[str, int]:
        """Numbers of prototypes, latent channels and parameters."""
        network = prototype_network(self.classifier)
        n, channels = network.prototypes.maps.shape[:2]
        return {"prototypes": n, "channels": channels, "parameters": sum(p.numel() for p in network.parameters())}


def refine_in_steps(
    classifier: Classifier,
    parts: Mapping[str, Dataset],
    threshold: float | None = None,
    share: float | None = None,
    channels: int = 0,
    compat: bool = False,
    tuning: TuneSettings | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[RefinementStep]:
    """Merge prototypes that are alike, drop channels, tune; with the accuracy after each step.

    Parameters
    ----------
    classifier : Classifier
        A prototype network.
    parts : mapping of str to Dataset
        Clips under ``training``, on which is tuned, and others to evaluate on.
    threshold, share, compat
        See `refine_prototypes`.
    channels : int
        Channels to drop; see `refine_channels`.
    tuning : TuneSettings, optional
        None: no tuning.
    progress : callable, optional
        Called with a line before each step.

    Returns
    -------
    list of RefinementStep
        The first is the network as it was.

    Raises
    ------
    OtoscopeError

    Examples
    --------
    >>> [(s.name, s.sizes()["prototypes"]) for s in refine_in_steps(model, {"training": data}, share=0.5)]
    [('as it was', 6), ('prototypes merged', 3)]
    """
    log = progress or (lambda line: None)
    log(f"encoding {sum(map(len, parts.values()))} clips")
    encoded = _encode(classifier, parts)
    steps = [_step("as it was", classifier, encoded)]
    log("merging prototypes")
    last = refine_prototypes(classifier, threshold, share, compat)
    steps.append(_step("prototypes merged", last, encoded))
    if channels:
        log(f"dropping {channels} channels")
        last = refine_channels(last, channels, compat)
        encoded = _encode(last, parts)
        steps.append(_step("channels dropped", last, encoded))
    if tuning is not None:
        log(f"tuning for {tuning.epochs} epochs")
        last = tune(last, encoded["training"], tuning)
        steps.append(_step("tuned", last, encoded))
    return steps


def _encode(classifier: Classifier, parts: Mapping[str, Dataset]) -> dict[str, EncodedClips]:
    return {name: encode_clips(classifier, part) for name, part in parts.items()}


def _step(name: str, classifier: Classifier, encoded: Mapping[str, EncodedClips]) -> RefinementStep:
    network = prototype_network(classifier)
    return RefinementStep(name, classifier, {part: accuracy(network, clips) for part, clips in encoded.items()})
