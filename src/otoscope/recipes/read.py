"""Reading a recipe: YAML files, later ones on top of earlier ones, and ``key=value`` overrides on top of all."""

from __future__ import annotations

import dataclasses
import json
import os
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.runtime import require

PATHS = (
    ("data", "root"),
    ("data", "noises"),
    ("data", "labels"),
    ("teacher", "weights"),
    ("model", "weights"),
    ("autoencoder", "weights"),
    ("classifier", "weights"),
)
NO_PATHS = ("", "published", "random")
NAMES = (
    ("teacher", "model"),
    ("model", "start"),
    ("autoencoder", "start"),
    ("classifier", "model"),
)  # paths where they begin with a dot


def read_content(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """Recipes on top of one another, with overrides, as plain data; parameters and errors as in `otoscope.training.load_recipe`."""
    yaml = require("yaml", "train", "otoscope train", package="pyyaml")
    files = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(p) for p in path]
    content: dict[str, Any] = {}
    for file in files:
        _merge(content, _read(yaml, file, ()))
    for override in overrides:
        key, found, value = override.partition("=")
        if not found:
            raise ParameterError(f"an override is written key=value, such as optimiser.epochs=3; got {override!r}")
        try:
            read = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ParameterError(
                f"the value of {override!r} is not valid YAML: {' '.join(str(error).split())}"
            ) from error
        here: dict[str, Any] = {}
        _put(content, key.split("."), read)
        _put(here, key.split("."), read)
        _absolute(here, Path.cwd())
        _merge(content, here)
    return content


def _read(yaml: Any, file: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """One file as a mapping, what it includes below it, its paths made absolute."""
    if file.resolve() in above:
        raise OtoscopeError(f"the recipe {file} includes itself")
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _strict(yaml))
    except OSError as error:
        raise OtoscopeError(f"cannot read the recipe {file}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise OtoscopeError(f"the recipe {file} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise OtoscopeError(f"the recipe {file} must be a mapping of settings; got {type(content).__name__}")
    below = content.pop("include", [])
    if not isinstance(below, list) or not all(isinstance(name, str) for name in below):
        raise ParameterError(f"the recipe {file}: include must be a list of files; got {below!r}")
    _absolute(content, file.parent)
    merged: dict[str, Any] = {}
    for name in below:
        _merge(merged, _read(yaml, file.parent / name, (*above, file.resolve())))
    _merge(merged, content)
    return merged


def _strict(yaml: Any) -> Any:
    """A loader as safe as ``yaml.SafeLoader`` that refuses a key which stands twice in one group."""

    class Strict(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> Any:  # as it is written, before merges fill it
            node = super().compose_mapping_node(anchor)
            seen: set[tuple[str, str]] = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                    continue
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} stands twice in one group", key.start_mark
                    )
                seen.add((key.tag, key.value))
            return node

    return Strict


def _merge(below: dict[str, Any], above: dict[str, Any]) -> None:
    """Put one mapping on top of another, group by group."""
    for written, value in above.items():
        key = _named(below, written)
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = value


def _absolute(content: dict[str, Any], folder: Path) -> None:
    for group, key in PATHS:
        inner = content.get(group)
        if isinstance(inner, dict) and isinstance(inner.get(key), str) and inner[key] not in NO_PATHS:
            inner[key] = _resolved(folder, inner[key])
    for group, key in NAMES:
        inner = content.get(group)
        if isinstance(inner, dict) and str(inner.get(key, "")).startswith(("./", "../")):
            inner[key] = _resolved(folder, inner[key])


def _resolved(folder: Path, name: str) -> str:
    try:
        return str((folder / name).resolve())
    except (OSError, ValueError) as error:
        raise ParameterError(f"{name!r} cannot be the name of a file or folder: {error}") from error


def _put(content: dict[Any, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        nested = content.setdefault(_named(content, key), {})
        if not isinstance(nested, dict):
            raise ParameterError(f"the override {'.'.join(keys)!r} goes through {key!r}, which is no group of settings")
        content = nested
    content[_named(content, keys[-1])] = value


def _named(group: dict[Any, Any], key: Any) -> Any:
    """The key of a group that is written so: a number is a name too."""
    return key if key in group else next((k for k in group if str(k) == str(key)), key)


def build_settings(cls: type, content: dict[str, Any]) -> Any:
    """Settings of a frozen dataclass from plain data, each checked for name, type, range and choice."""
    return _build(cls, content, "")


def _build(cls: type, content: dict[str, Any], where: str) -> Any:
    known = {field.name for field in dataclasses.fields(cls)}
    hints = {key: kind for key, kind in typing.get_type_hints(cls).items() if key in known}
    for key in content:
        if key not in hints:
            raise UnknownNameError(f"setting{' in ' + where if where else ''}", key, hints)
    built = {key: _convert(hints[key], value, f"{where}: {key}" if where else key) for key, value in content.items()}
    for key, value in built.items():
        _check(f"{where}: {key}" if where else key, value)
    return cls(**built)


def _check(where: str, value: Any) -> None:
    from otoscope.training.settings import CHOICES, RANGES

    for item in value if isinstance(value, tuple) else (value,):
        if where in CHOICES and item not in CHOICES[where]:
            raise UnknownNameError(where, item, CHOICES[where])
    low, high = RANGES.get(where, (None, None))
    if low is not None and high is not None and not low <= value <= high:
        raise ParameterError(f"{where} must lie in [{low:g}, {high:g}]; got {value!r}")


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ParameterError(f"{where} must be a group of settings; got {value!r}")
        return _build(typing.cast(type, kind), value, where)
    origin = typing.get_origin(kind)
    if origin is tuple:
        if isinstance(value, int | str) and not isinstance(value, bool):
            value = [value]
        if not isinstance(value, list):
            raise ParameterError(f"{where} must be a list; got {value!r}")
        return tuple(_convert(typing.get_args(kind)[0], v, where) for v in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise ParameterError(f"{where} must be a group of settings; got {value!r}")
        inner = typing.get_args(kind)[1]
        if dataclasses.is_dataclass(inner):
            if len({str(k) for k in value}) < len(value):
                raise ParameterError(f"{where} names an entry twice, once as a number and once as text: {list(value)}")
            return {str(k): _convert(inner, v, f"{where}: {k}") for k, v in value.items()}
        _check_plain(value, where)
        return value if inner is Any else {k: _scalar(inner, v, f"{where}: {k}") for k, v in value.items()}
    if isinstance(kind, types.UnionType):
        if type(value) not in typing.get_args(kind):
            raise ParameterError(f"{where} must be a number or a name; got {value!r}")
        return value
    return _scalar(kind, value, where)


def _check_plain(value: Any, where: str) -> None:
    """Only what a file can hold: texts, numbers, lists and groups of them."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise ParameterError(f"{where} must hold texts, numbers, lists and groups of these alone") from None


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is str and value is None:  # an override such as teacher.model= gives nothing
        return ""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and (number or isinstance(value, str)):  # YAML reads 1e-3 as a string
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise ParameterError(f"{where} must be a {kind.__name__}; got {value!r}")
