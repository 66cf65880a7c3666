"""The registry: every method, domain, mask, metric, classifier and data set, once, with its facts.

The command line's choices, the docs' tables and the conformance tests are read from here; there is no second list.
Rooms register when they are imported; `discover` imports the rooms, ours and those of third parties, that are named as
entry points in the group ``otoscope.plugins``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.facts import DomainFacts, MethodFacts, make_facts
from otoscope.core.settings import Argument, Help, Parameter, Range, read_settings

__all__ = [
    "Argument", "Entry", "Help", "Parameter", "Range", "add", "discover", "entries", "fitting_domains", "format_spec", "get",
    "import_modules", "names", "parse", "register",
]  # fmt: skip

GROUP = "otoscope.plugins"
READ = ("method", "domain", "mask", "metric")
"""Kinds whose settings are read from the signature."""
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """A registered thing and its facts.

    Parameters
    ----------
    kind : str
        ``"method"``, ``"domain"``, ``"mask"``, ``"metric"``, ``"classifier"``, ``"dataset"`` or ``"view"``.
    name : str
        Its name, unique within the kind.
    target : callable
        What does the work.
    summary : str
        One line.
    family : str
        Group in tables.
    parameters : tuple of Parameter
        Its settings, in the order of the signature.
    source : str
        Citation keys of ``docs/references.bib``.
    facts : mapping
        What is true of it and proven by the conformance suite; a record of `otoscope.core.facts`.
    """

    kind: str
    name: str
    target: Callable[..., Any]
    summary: str
    family: str = ""
    parameters: tuple[Parameter, ...] = ()
    source: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", make_facts(self.kind, self.name, self.facts))

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
            **self._facts(),
        }

    def _facts(self) -> dict[str, Any]:
        """The facts as plain data; those of methods with the domains that fit."""
        row = {k: v for k, v in self.facts.items() if not callable(v)}
        if isinstance(self.facts, MethodFacts):
            last = {"domains": ", ".join(fitting_domains(self)), "cost": row.pop("cost")}
            row = (
                {"needs": self.facts.needs_text}
                | {k: v for k, v in row.items() if k not in ("needs", "domains")}
                | last
            )
        return row


_entries: dict[tuple[str, str], Entry] = {}
_discovered = False
_lock = threading.RLock()
_failure: OtoscopeError | None = None


def add(entry: Entry) -> Entry:
    """Add an entry; a duplicate name is an error."""
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
    """Decorator: register a function or class.

    Parameters
    ----------
    kind, name : str
        Kind of the entry, such as ``"method"``, and its name.
    **facts
        ``family``, ``source``, ``summary`` (by default the docstring's first line), and the facts of the kind (see
        `otoscope.core.facts`). Settings of methods, domains, masks and metrics are read from the signature (see
        `otoscope.core.settings`); other kinds give them as ``parameters``.

    Raises
    ------
    OtoscopeError
        For a name that is taken, an unknown fact, or a setting that cannot be read.
    """

    def wrap(target: F) -> F:
        summary = facts.pop("summary", None) or (target.__doc__ or "").strip().split("\n")[0]
        own = {k: facts.pop(k) for k in ("family", "parameters", "source") if k in facts}
        if kind in READ:
            if "parameters" in own:
                warnings.warn(
                    f"parameters= of {kind} {name!r} is deprecated; annotate the settings in its signature, with Range and "
                    "Literal for their limits, and describe them in its docstring",
                    DeprecationWarning,
                    stacklevel=2,
                )
            else:
                own["parameters"] = read_settings(target)
        add(Entry(kind, name, target, summary, facts=dict(facts), **own))
        return target

    return wrap


def import_modules(package: str, path: Iterable[str]) -> None:
    """Import all modules of a package, so that they register their entries."""
    for module in sorted(found.name for found in pkgutil.iter_modules(path)):
        importlib.import_module(f"{package}.{module}")


def fitting_domains(method: str | Entry) -> list[str]:
    """Names of the domains that offer what a method needs."""
    facts = (get("method", method) if isinstance(method, str) else method).facts
    return [
        e.name
        for e in entries("domain")
        if isinstance(facts, MethodFacts) and isinstance(e.facts, DomainFacts) and facts.fits(e.name, e.facts)
    ]


def discover() -> None:
    """Import every room that registers something, once; raise an error that names a third-party plug-in that fails."""
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
                    "fix or uninstall the package that provides it"
                )
                raise _failure from error
            except BaseException:
                _discovered = False  # interrupted: the next call tries again
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
