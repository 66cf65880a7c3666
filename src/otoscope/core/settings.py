"""Settings of registered functions and classes, read from their signatures.

A setting is a parameter with a default. Its type comes from the annotation, its range from a `Range` marker, its choices
from ``Literal``, and its help from the first sentence of its entry in the docstring's "Parameters" section, or from a
`Help` marker where several functions share the setting::

    Tolerance = Annotated[float, Range(0.0, 10.0), Help("stop when the error is below this share of the value")]

    @register("method", "rise")
    def rise(problem: Problem, masks: Annotated[int, Range(2, 100000)] = 500, tolerance: Tolerance = 0.0) -> Result: ...
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError

BASIC = (bool, int, float, str)
Class = type


@dataclass(frozen=True)
class Range:
    """Marker in a signature: the closed range of a number.

    Parameters
    ----------
    low, high : float
        Both ends belong to the range.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Help:
    """Marker in a signature: the help text of a setting that several functions share.

    Parameters
    ----------
    text : str
        One sentence, without the final period.
    """

    text: str


@dataclass(frozen=True)
class Argument:
    """Marker in a signature: a parameter with a default that is not a setting: the caller provides it."""


@dataclass(frozen=True)
class Parameter:
    """One setting of an entry.

    Parameters
    ----------
    name : str
        Name in the signature.
    type : type
        int, float, bool or str.
    default : object
        None means "decided by the entry"; the help says how.
    help : str
        One sentence, without the final period.
    low, high : float, optional
        Closed range.
    choices : tuple of str
        Values that are allowed; empty for any.
    also : tuple of type
        Other classes whose instances are accepted unchanged; specs show them by ``str``.
    """

    name: str
    type: type
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    also: tuple[Class, ...] = ()

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


def read_settings(target: Any) -> tuple[Parameter, ...]:
    """The settings of a function or class, in the order of its signature.

    Raises
    ------
    OtoscopeError
        If an annotation cannot be evaluated, or is none of int, float, bool, str and ``Literal`` of strings.
    """
    function: Any = getattr(target, "__init__") if isinstance(target, type) else target  # noqa: B009
    words = described(target)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is parameter.empty:
            continue
        hint = _read_hint(_annotation(function, parameter))
        if hint.pop("argument", False):
            continue
        kind = hint.pop("type", type(parameter.default))
        if kind not in BASIC:
            raise OtoscopeError(
                f"setting {parameter.name!r} of {function.__qualname__} has the type {parameter.annotation!r}; annotate it as "
                "int, float, bool, str or Literal of strings"
            )
        text = hint.pop("help", "") or first_sentence(words.get(parameter.name, ""))
        found.append(Parameter(parameter.name, kind, parameter.default, text, **hint))
    return tuple(found)


def _read_hint(hint: Any) -> dict[str, Any]:
    """What an annotation declares of a setting: fields of `Parameter`, and ``argument``."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    found: dict[str, Any] = {}
    if origin is Annotated:
        found = _read_hint(parts[0])
        for marker in parts[1:]:
            if isinstance(marker, Range):
                found |= {"low": marker.low, "high": marker.high}
            elif isinstance(marker, Help):
                found["help"] = marker.text
            elif isinstance(marker, Argument):
                found["argument"] = True
    elif origin is Literal:
        found = {"type": str, "choices": parts}
    elif origin in (typing.Union, types.UnionType):
        for part in map(_read_hint, parts):
            found |= part | {"also": found.get("also", ()) + part.get("also", ())}
    elif hint in BASIC:
        found = {"type": hint}
    elif isinstance(hint, type) and hint is not type(None):
        found = {"also": (hint,)}
    return found


def _annotation(function: Any, parameter: inspect.Parameter) -> Any:
    """The annotation as a type, evaluated where the function was written."""
    if parameter.annotation is parameter.empty:
        return type(parameter.default)
    holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(holder, names, include_extras=True)[parameter.name]
    except (NameError, AttributeError, TypeError) as error:
        raise OtoscopeError(
            f"the annotation of setting {parameter.name!r} of {function.__qualname__} cannot be evaluated ({error}); import the "
            "names that it uses at run time"
        ) from error


def described(target: Any) -> dict[str, str]:
    """Words of each entry in the "Parameters" section of a numpydoc docstring, by the parameter's name."""
    text = inspect.cleandoc(getattr(target, "__doc__", None) or "")
    section = re.search(r"^Parameters\n-{3,}\n(.*?)(?=^[A-Z][A-Za-z ]+\n-{3,}\n|\Z)", text, re.M | re.S)
    out: dict[str, list[str]] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else []:
        if line and not line[0].isspace():
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
            out.update((name, []) for name in names)
        elif line.strip():
            for name in names:
                out[name].append(line.strip())
    return {name: " ".join(lines) for name, lines in out.items()}


def first_sentence(text: str) -> str:
    """The first sentence as a help text: without its period, its first letter small unless it is an abbreviation's."""
    sentence = re.split(r"\.(?:\s+(?=[A-Z0-9`])|$)", text, maxsplit=1)[0]
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]
