"""Facts of registered things: one frozen record for each kind, checked when the thing is registered."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args, get_type_hints

from otoscope.core.errors import ParameterError, UnknownNameError

CELL_NEEDS = ("waveform", "fixed_cells", "placed_cells")
"""What a method can need of a domain: `DomainFacts.offers`."""
NEEDS = ("gradients", "attention", "uncompiled code", *CELL_NEEDS)


OPTIONAL = {"optional": True}  # of a fact that is listed only where it was given


def _once(**_settings: Any) -> int:
    return 1


@dataclass(frozen=True, eq=False)
class Facts(Mapping[str, Any]):
    """What is true of an entry and proven by the conformance suite; also a mapping, for tables and ``--json``."""

    _given = ()  # names in the order of the registration

    def __getitem__(self, name: str) -> Any:
        if name not in type(self).__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        always = (f.name for f in dataclasses.fields(self) if not f.metadata.get("optional"))
        return iter(dict.fromkeys([*self._given, *always]))

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, eq=False)
class MethodFacts(Facts):
    """Facts of an attribution method, or of a method that gives a sound.

    Parameters
    ----------
    needs : tuple of str
        What it needs of the classifier (``"gradients"``, ``"attention"``, ``"uncompiled code"`` for rules inside the network, or
        any phrase of several words) and of the domain
        (`CELL_NEEDS`): ``"waveform"``, the domain feeds waveforms; ``"fixed_cells"``, every clip has the same cells;
        ``"placed_cells"``, cells lie at times and frequencies. Text is split at ``" and "``.
    gives : {"attributions", "sound"}
        What it produces: values on the grid, or the kept sound itself.
    signed : bool
        Whether values can be negative.
    complete : bool
        Whether the values sum to a difference of scores.
    deterministic : bool
        Whether another seed gives the same values.
    blind : bool
        Whether every clip of one grid gets the same values.
    domains : tuple of str
        Deprecated: the only domains that it supports.
    cost : str
        Passes in words.
    passes : callable
        ``passes(**settings)`` -> passes through the classifier for one clip.
    mask : str
        The mask that an explanation has unless another one is requested.
    exemplars : callable, optional
        ``exemplars(classifier, waveforms, target, **settings)`` -> the sounds that a clip, heard in these windows, was compared
        with; see `otoscope.attribution.exemplars`.
    """

    needs: tuple[str, ...] = ()
    gives: str = field(default="attributions", metadata=OPTIONAL)
    signed: bool = True
    complete: bool = False
    deterministic: bool = True
    blind: bool = field(default=False, metadata=OPTIONAL)
    domains: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    cost: str = ""
    passes: Callable[..., int] = _once
    mask: str = field(default="positive:topk:0.5", metadata=OPTIONAL)
    exemplars: Callable[..., list[Any]] | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        _split(self, "needs", " and ")
        _split(self, "domains", ",")
        if self.gives not in ("attributions", "sound"):
            raise UnknownNameError("thing that a method gives", self.gives, ("attributions", "sound"))
        for need in self.needs:
            if " " not in need and need not in NEEDS:
                raise UnknownNameError("need of a method", need, NEEDS)
        if self.domains:
            warnings.warn(
                "domains= of a method is deprecated; declare what it needs of a domain: needs= with "
                f"{', '.join(CELL_NEEDS)}",
                DeprecationWarning,
                stacklevel=2,
            )

    @property
    def needs_text(self) -> str:
        """What it needs of the classifier, in words."""
        return " and ".join(need for need in self.needs if need not in CELL_NEEDS)

    def fits(self, name: str, domain: DomainFacts) -> bool:
        """Whether it works in a domain of this name and these facts."""
        if self.domains:
            return name in self.domains
        return {need for need in self.needs if need in CELL_NEEDS} <= domain.offers


def _split(facts: MethodFacts, name: str, mark: str) -> None:
    value = getattr(facts, name)
    parts = value.split(mark) if isinstance(value, str) else value
    object.__setattr__(facts, name, tuple(part.strip() for part in parts if part.strip()))


@dataclass(frozen=True, eq=False)
class DomainFacts(Facts):
    """Facts of a domain.

    Parameters
    ----------
    feeds : str
        What the classifier is fed with: ``"waveform"``, ``"features"``, or both with a comma.
    has_frequency : bool
        Whether rows are bands of frequency.
    axes : str
        What rows and columns are, with units.
    fixed_cells : bool
        Whether every clip has the same cells; False where cells are found in the clip itself.
    placed_cells : bool
        Whether cells lie at times and frequencies; False where rows are parts of the sound.
    """

    feeds: str = "waveform"
    has_frequency: bool = True
    axes: str = ""
    fixed_cells: bool = field(default=True, metadata=OPTIONAL)
    placed_cells: bool = field(default=True, metadata=OPTIONAL)

    @property
    def offers(self) -> frozenset[str]:
        """What methods can need of it (`CELL_NEEDS`)."""
        has = {"waveform": "waveform" in self.feeds, "fixed_cells": self.fixed_cells, "placed_cells": self.placed_cells}
        return frozenset(name for name, there in has.items() if there)


@dataclass(frozen=True, eq=False)
class MaskFacts(Facts):
    """Facts of a mask function.

    Parameters
    ----------
    binary : bool
        Whether its values are 0 or 1.
    monotone : bool
        Whether a higher attribution never gets a lower mask value.
    quantile : callable, optional
        The same function with ties counted as published (``ties=quantile``).
    raw : callable, optional
        The same function of values that are not scaled, as published (``scale=raw``).
    searched : bool
        Whether it asks the classifier, and is found by the pipeline rather than computed from the attribution alone.
    """

    binary: bool = False
    monotone: bool = True
    searched: bool = field(default=False, metadata=OPTIONAL)
    quantile: Callable[..., Any] | None = field(default=None, metadata=OPTIONAL)
    raw: Callable[..., Any] | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, eq=False)
class MetricFacts(Facts):
    """Facts of a metric.

    Parameters
    ----------
    of : {"scores", "mask", "curve", "truth", "sanity"}
        What it is computed from.
    short, title : str
        Its name in narrow tables and in headings.
    unit : str
        Unit of its values, such as ``"%"`` or ``"dB"``; empty without one.
    higher_is_better : bool
        Direction of the metric.
    low, high : float, optional
        Its range; None is unbounded.
    means : str
        One sentence.
    classes : bool
        Whether it takes the probabilities of all classes.
    compat : bool
        Whether it is there for comparison with published numbers only.
    chance : str
        What chance gets.
    """

    of: str = "scores"
    short: str = ""
    title: str = field(default="", metadata=OPTIONAL)
    unit: str = ""
    higher_is_better: bool = True
    low: float | None = None
    high: float | None = None
    means: str = ""
    classes: bool = field(default=False, metadata=OPTIONAL)
    compat: bool = field(default=False, metadata=OPTIONAL)
    chance: str = field(default="", metadata=OPTIONAL)

    def __post_init__(self) -> None:
        kinds = ("scores", "mask", "curve", "truth", "sanity")
        if self.of not in kinds:
            raise UnknownNameError("kind of metric", self.of, kinds)


@dataclass(frozen=True, eq=False)
class ModelFacts(Facts):
    """Facts of a named classifier or autoencoder.

    Parameters
    ----------
    sample_rate : int, Hz
        Sample rate of its input.
    classes : int
        Number of classes; 0 for an autoencoder.
    multilabel : bool
        Whether classes are independent (sigmoid outputs).
    download : bool
        Whether its weights are downloaded.
    licence : str
        Licence of the weights.
    url, file, sha256 : str
        Of the weights.
    architecture : str
        Name of its architecture.
    settings : mapping
        Of the architecture.
    where : str
        Where the weights are, if they come with another package.
    """

    sample_rate: int = 0
    classes: int = field(default=0, metadata=OPTIONAL)
    multilabel: bool | None = field(default=None, metadata=OPTIONAL)
    download: bool = False
    licence: str = ""
    url: str | None = field(default="", metadata=OPTIONAL)
    file: str | None = field(default="", metadata=OPTIONAL)
    sha256: str | None = field(default="", metadata=OPTIONAL)
    architecture: str = field(default="", metadata=OPTIONAL)
    settings: Mapping[str, Any] | None = field(default=None, metadata=OPTIONAL)
    where: str = field(default="", metadata=OPTIONAL)


@dataclass(frozen=True, eq=False)
class DatasetFacts(Facts):
    """Facts of a data set.

    Parameters
    ----------
    licence : str
        Licence of the recordings.
    sample_rate : int, Hz
        Sample rate of the files.
    classes, clips : int
        0 where it depends on the settings.
    folds : str
        What the folds are.
    needs_download : bool
        Whether its files must be downloaded first.
    hosted : str
        Where it is downloaded from.
    audio : str
        Folder of the sounds in it.
    wholes : mapping of str to (classes, clips)
        The numbers of other settings.
    made : bool
        Whether it is made by Otoscope.
    digest : str or mapping
        SHA-256 of the release's files.
    ignored : tuple of str
        Folders that hold no clips.
    """

    licence: str = ""
    sample_rate: int = 0
    classes: int = 0
    clips: int = 0
    folds: str = ""
    needs_download: bool = True
    hosted: str = ""
    audio: str = ""
    wholes: Any = field(default=None, metadata=OPTIONAL)
    made: Any = field(default=None, metadata=OPTIONAL)
    digest: Any = field(default=None, metadata=OPTIONAL)
    ignored: Any = field(default=None, metadata=OPTIONAL)


KINDS: Mapping[str, type[Facts]] = {
    "method": MethodFacts, "domain": DomainFacts, "mask": MaskFacts, "metric": MetricFacts, "classifier": ModelFacts,
    "autoencoder": ModelFacts, "dataset": DatasetFacts,
}  # fmt: skip


def make_facts(kind: str, name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The facts of an entry, checked; of a kind without a record of its own, as they were given.

    Raises
    ------
    UnknownNameError
        For a fact that the kind does not have, with the nearest names.
    ParameterError
        For a fact of another type.
    """
    record = KINDS.get(kind)
    if record is None or isinstance(given, Facts):
        return given
    types = _types(record)
    for fact, value in given.items():
        if fact not in types:
            raise UnknownNameError(f"fact of {kind} {name!r}", fact, types)
        if types[fact] and not isinstance(value, types[fact]):
            expected = " or ".join(t.__name__ for t in types[fact])
            raise ParameterError(f"{kind} {name!r}: the fact {fact} must be {expected}; got {value!r}")
    try:
        made = record(**given)
    except UnknownNameError as error:
        raise UnknownNameError(f"{kind} {name!r}: {error}") from None
    object.__setattr__(made, "_given", tuple(given))
    return made


@cache
def _types(record: type[Facts]) -> dict[str, tuple[type, ...]]:
    """Classes that the value of each fact may have; none is any."""
    out: dict[str, tuple[type, ...]] = {}
    for name, hint in get_type_hints(record).items():
        types = get_args(hint) or (hint,)
        plain = set(types) <= {bool, int, float, str, type(None)}
        out[name] = (*types, *((int,) if float in types else ())) if plain else ()
    return out
