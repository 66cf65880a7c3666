"""The registry: every method, domain, mask, metric, classifier and data set, once, with its facts.

The command line's choices, the docs' tables and the conformance tests are read from here; there is no second list.
Rooms register when they are imported; `discover` imports the rooms, ours and those of third parties, that are named as
entry points in the group ``otoscope.plugins``.
"""

from __future__ import annotations

import importlib.metadata
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError

GROUP = "otoscope.plugins"
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parameter:
    """One setting of an entry.

    Parameters
    ----------
    name : str
    type : type
        int, float, bool or str.
    default : object
        None means "decided by the entry"; the help says how.
    help : str
    low, high : float, optional
        Closed range.
    choices : tuple of str
    also : tuple of type
        Other classes whose instances are accepted unchanged, for data that no text can hold; specs show them by ``str``.
    """

    name: str
    type: type
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    also: tuple[type, ...] = ()

    def check(self, value: Any, owner: str) -> Any:
        """The value in its type, or a `ParameterError` that names the range."""
        if (value is None and self.default is None) or isinstance(value, self.also):
            return value
        try:
            if self.type is bool and isinstance(value, str):
                value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
            if self.type is int and float(value) != int(float(value)):
                raise ValueError
            value = int(float(value)) if self.type is int else self.type(value)
        except (TypeError, ValueError, KeyError, OverflowError):
            raise ParameterError(
                f"{owner}: {self.name} must be a {self.type.__name__}; got {value!r} ({self.help})"
            ) from None
        if self.choices and value not in self.choices:
            raise UnknownNameError(f"{owner} {self.name}", value, self.choices)
        low_ok = self.low is None or value >= self.low
        high_ok = self.high is None or value <= self.high
        if not (low_ok and high_ok):
            low = "-inf" if self.low is None else f"{self.low:g}"
            high = "inf" if self.high is None else f"{self.high:g}"
            raise ParameterError(f"{owner}: {self.name} must lie in [{low}, {high}]; got {value!r} ({self.help})")
        return value


@dataclass(frozen=True)
class Entry:
    """A registered thing and its facts.

    Parameters
    ----------
    kind : str
        ``"method"``, ``"domain"``, ``"mask"``, ``"metric"``, ``"classifier"``, ``"dataset"`` or ``"view"``.
    name : str
    target : callable
        What does the work.
    summary : str
        One line.
    family : str
    parameters : tuple of Parameter
    source : str
        Citation keys of ``docs/references.bib``.
    facts : mapping
        What is true of it and proven by the conformance suite.
    """

    kind: str
    name: str
    target: Callable[..., Any]
    summary: str
    family: str = ""
    parameters: tuple[Parameter, ...] = ()
    source: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Every parameter's checked value: what was given, else the default."""
        known = {p.name: p for p in self.parameters}
        for name in given or {}:
            if name not in known:
                raise UnknownNameError(f"parameter of {self.kind} {self.name!r}", name, known)
        owner = f"{self.kind} {self.name!r}"
        return {n: p.check((given or {}).get(n, p.default), owner) for n, p in known.items()}

    def row(self) -> dict[str, Any]:
        """The entry as plain data, for tables and ``--json``."""
        return {
            "name": self.name,
            "family": self.family,
            "summary": self.summary,
            "parameters": {
                p.name: {
                    "type": p.type.__name__,
                    "default": p.default,
                    "range": [p.low, p.high] if (p.low, p.high) != (None, None) else None,
                    "choices": list(p.choices) or None,
                    "help": p.help,
                }
                for p in self.parameters
            },
            "source": self.source,
            **{key: value for key, value in self.facts.items() if not callable(value)},
        }


_entries: dict[tuple[str, str], Entry] = {}
_discovered = False
_lock = threading.RLock()
_failure: OtoscopeError | None = None


def add(entry: Entry) -> Entry:
    """Put an entry in; a clash of names is an error."""
    key = (entry.kind, entry.name)
    old = _entries.get(key)
    if old is not None:
        where = [
            f"{getattr(e.target, '__module__', '?')}.{getattr(e.target, '__qualname__', '?')}" for e in (old, entry)
        ]
        raise OtoscopeError(f"two {entry.kind}s are called {entry.name!r}: {where[0]} and {where[1]}; rename one")
    _entries[key] = entry
    return entry


def register(kind: str, name: str, **facts: Any) -> Callable[[F], F]:
    """Decorator: register a function or class. Unknown keywords become facts; the summary is the docstring's first line."""

    def wrap(target: F) -> F:
        summary = facts.pop("summary", None) or (target.__doc__ or "").strip().split("\n")[0]
        own = {k: facts.pop(k) for k in ("family", "parameters", "source") if k in facts}
        add(Entry(kind, name, target, summary, facts=dict(facts), **own))
        return target

    return wrap


def discover() -> None:
    """Import every room that registers something, once. A third-party plug-in that fails is named, each time."""
    global _discovered, _failure
    with _lock:  # a second thread waits until all rooms are there
        if _failure is not None:
            raise _failure
        if _discovered:
            return
        _discovered = True
        for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: p.name):
            try:
                point.load()
            except OtoscopeError as error:
                _failure = error
                raise
            except Exception as error:
                _failure = OtoscopeError(
                    f"the plug-in {point.name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}; "
                    "mend or uninstall the package that brings it"
                )
                raise _failure from error
            except BaseException:
                _discovered = False  # interrupted: the next call goes on
                raise


def entries(kind: str) -> list[Entry]:
    """All entries of a kind, in the order in which they were registered."""
    discover()
    return [e for (k, _), e in _entries.items() if k == kind]


def names(kind: str) -> list[str]:
    """Names of all entries of a kind."""
    return [e.name for e in entries(kind)]


def get(kind: str, name: str) -> Entry:
    """The entry, or an `UnknownNameError` with the nearest names."""
    discover()
    try:
        return _entries[(kind, name)]
    except KeyError:
        raise UnknownNameError(kind, name, names(kind)) from None


def parse(kind: str, spec: str) -> tuple[Entry, dict[str, Any]]:
    """An entry and its settings from text such as ``mel,bands=64,ms=20``.

    Raises
    ------
    UnknownNameError
        For the name or a setting, with the nearest ones.
    ParameterError
        For a setting without value, out of range or of another type.
    """
    if not isinstance(spec, str) or not spec.strip():
        raise ParameterError(f"a {kind} is written NAME or NAME,setting=value; got {spec!r}")
    name, *options = [part.strip() for part in spec.split(",")]
    entry = get(kind, name)
    given = {}
    for option in options:
        key, found, value = (part.strip() for part in option.partition("="))
        if not found:
            raise ParameterError(f"a setting of a {kind} is written key=value; got {option!r} in {spec!r}")
        if key in given:
            raise ParameterError(f"{key} is given twice in {spec!r}; leave one out")
        given[key] = value
    return entry, entry.settings(given)


def format_spec(entry: Entry, settings: Mapping[str, Any]) -> str:
    """The text that `parse` reads: the name and the settings that differ from their defaults."""
    changed = [f"{p.name}={settings[p.name]}" for p in entry.parameters if settings[p.name] != p.default]
    return ",".join([entry.name, *changed])
