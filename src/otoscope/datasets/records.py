"""A data set: named clips with a class, a fold and a source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from otoscope.core.errors import ParameterError


@dataclass(frozen=True)
class Example:
    """One labelled clip.

    Parameters
    ----------
    path : Path
    label : str
    index : int
        Of the class, in the data set's labels.
    fold : int
    source : str
        Name of the recording that it was cut from; clips of one source never lie in two folds.
    """

    path: Path
    label: str
    index: int
    fold: int
    source: str


@dataclass(frozen=True)
class Dataset:
    """Labelled clips.

    Parameters
    ----------
    name : str
    labels : tuple of str
    examples : tuple of Example
    licence : str
    """

    name: str
    labels: tuple[str, ...]
    examples: tuple[Example, ...]
    licence: str = ""

    def folds(self, wanted: Iterable[int]) -> Dataset:
        """The part that lies in these folds."""
        chosen = set(wanted)
        known = {e.fold for e in self.examples}
        if chosen - known:
            raise ParameterError(f"{self.name} has folds {sorted(known)}; got {sorted(chosen - known)}")
        return Dataset(self.name, self.labels, tuple(e for e in self.examples if e.fold in chosen), self.licence)

    def __len__(self) -> int:
        return len(self.examples)
