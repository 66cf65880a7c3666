"""Classes of a data set and of a classifier, matched by name."""

from __future__ import annotations

from collections.abc import Sequence

from otoscope.classifiers.base import Classifier
from otoscope.core.errors import ParameterError


def class_numbers(labels: Sequence[str], classifier: Classifier, optional: bool = False) -> list[int]:
    """The classifier's index of each label; capitals, spaces and underscores are ignored.

    Parameters
    ----------
    labels : sequence of str
        Names of the data set's classes.
    classifier : Classifier
        The classifier.
    optional : bool
        Return an empty list, instead of an error, if a class is unknown.

    Raises
    ------
    ParameterError
        If the classifier lacks one of them.
    """
    known = {_folded(label): i for i, label in enumerate(classifier.labels)}
    strange = [label for label in labels if _folded(label) not in known]
    if strange and optional:
        return []
    if strange:
        raise ParameterError(
            f"classifier {classifier.name!r} has no class {', '.join(map(repr, strange[:5]))} of the data set; use one that "
            "was trained on these classes, or classifier.targets=own, which takes its predictions for the originals"
        )
    return [known[_folded(label)] for label in labels]


def _folded(label: str) -> str:
    return " ".join(label.casefold().replace("_", " ").split())
