"""Reading a recipe: YAML files, later ones on top of earlier ones, and ``key=value`` overrides on top of all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.runtime import require
from otoscope.recipes.find import TRAINING, find_recipe, is_in_library

if TYPE_CHECKING:
    from otoscope.recipes.schema import PathMark, Settings

Paths = Mapping[tuple[str, ...], "PathMark"]
RecipeFiles = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def find_recipes(path: RecipeFiles, folders: Sequence[str] = TRAINING) -> list[Path]:
    """The files of one recipe or of several; see `otoscope.recipes.find.find_recipe`."""
    names = [path] if isinstance(path, str | os.PathLike) else list(path)
    return [find_recipe(name, folders) for name in names]


def read_content(
    path: RecipeFiles,
    overrides: Sequence[str] = (),
    models: Sequence[type[Settings]] = (),
    folders: Sequence[str] = TRAINING,
) -> dict[str, Any]:
    """Recipes on top of one another, with overrides on top of all, as plain data.

    Parameters
    ----------
    path : path, name, or sequence of these
        Files, or recipes of the package by name.
    overrides : sequence of str
        ``key=value`` with dotted keys and YAML values.
    models : sequence of type
        What the recipe can be; their fields mark the settings that are paths. A path is relative to the file that holds it; in
        overrides and in recipes of the package, to the working folder.
    folders : sequence of str
        Folders of the package in which names are looked up first.

    Raises
    ------
    OtoscopeError
        If a file is missing, not valid YAML or not a mapping, or an override is malformed.
    """
    from otoscope.recipes.schema import path_fields

    yaml = require("yaml", "train", "otoscope train", package="pyyaml")
    paths = path_fields(*models)
    content: dict[str, Any] = {}
    for file in find_recipes(path, folders):
        _merge(content, _read(yaml, file, (), paths))
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
        _absolute(here, Path.cwd(), paths)
        _merge(content, here)
    return content


def _read(yaml: Any, file: Path, above: tuple[Path, ...], paths: Paths) -> dict[str, Any]:
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
        raise ParameterError(f"the recipe {file}: include must be a list of recipes; got {below!r}")
    _absolute(content, Path.cwd() if is_in_library(file) else file.parent, paths)
    merged: dict[str, Any] = {}
    for name in below:
        included = find_recipe(name, below=file.parent)
        _merge(merged, _read(yaml, included, (*above, file.resolve()), paths))
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


def _absolute(content: dict[Any, Any], folder: Path, paths: Paths) -> None:
    """Make the paths of one file absolute, in place."""
    for (first, *rest), mark in paths.items():
        for key in list(content) if first == "*" else [first]:
            value = content.get(key)
            if rest and isinstance(value, dict):
                _absolute(value, folder, {tuple(rest): mark})
            elif not rest and mark.is_path(value):
                content[key] = _resolved(folder, str(value))


def _resolved(folder: Path, name: str) -> str:
    try:
        return str((folder / name).resolve())
    except (OSError, ValueError) as error:
        raise ParameterError(f"{name!r} cannot be the name of a file or folder: {error}") from error


def _put(content: dict[Any, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        nested = content.setdefault(_named(content, key), {})
        if not isinstance(nested, dict):
            raise ParameterError(
                f"the override {'.'.join(keys)!r} goes through {key!r}, which is not a group of settings"
            )
        content = nested
    content[_named(content, keys[-1])] = value


def _named(group: dict[Any, Any], key: Any) -> Any:
    """The key of a group that is written so: a number is a name too."""
    return key if key in group else next((k for k in group if str(k) == str(key)), key)
