"""A recipe: all settings of a training run, from a YAML file and ``key=value`` overrides."""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.runtime import require


@dataclass(frozen=True)
class DataSettings:
    """Which clips."""

    root: str = ""
    esc10: bool = False
    train_folds: tuple[int, ...] = (2, 3, 4, 5)
    validation_folds: tuple[int, ...] = ()
    test_folds: tuple[int, ...] = (1,)
    seconds: float = 5.0


@dataclass(frozen=True)
class ModelSettings:
    """Which network; ``mn`` at a width."""

    width: float = 0.4
    dropout: float = 0.2
    bn_momentum: float = 0.1


@dataclass(frozen=True)
class TeacherSettings:
    """What is distilled, and how strongly; no model, no distillation."""

    model: str = ""
    weights: str = "published"
    logits: float = 1.0
    hints: float = 1.0
    hint_layers: tuple[str, ...] = ("features.6", "features.12", "features.16")


@dataclass(frozen=True)
class AugmentSettings:
    """Changes to the sounds while training."""

    mixup_probability: float = 0.5
    mixup_alpha: float = 0.5
    roll_s: float = 5.0
    gain_db: float = 12.0
    frequency_mask: int = 12
    time_mask: int = 40


@dataclass(frozen=True)
class OptimiserSettings:
    """AdamW with linear warm-up and cosine decay to zero."""

    epochs: int = 200
    batch_size: int = 32
    lr: float = 2e-3
    weight_decay: float = 1e-2
    warmup_epochs: int = 5
    label_smoothing: float = 0.05
    clip_norm: float = 5.0


@dataclass(frozen=True)
class Recipe:
    """All settings of a run."""

    name: str = "classifier"
    seed: int = 0
    precision: str = "32-true"
    threads: int = 0
    out: str = ""
    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for files."""
        return dataclasses.asdict(self)

    def shareable(self) -> dict[str, Any]:
        """Plain data for model folders: folders of this machine are cut down to their last part."""
        plain = self.as_dict()
        plain["out"] = Path(self.out).name
        plain["data"]["root"] = Path(self.data.root).name
        plain["teacher"]["weights"] = Path(self.teacher.weights).name
        return plain


def load_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and put overrides such as ``optimiser.epochs=3`` on top. Relative paths are relative to its file.

    Raises
    ------
    OtoscopeError
        If the file is missing or no mapping, a key is unknown (the nearest are offered), or a value has another type.
    """
    yaml = require("yaml", "train", "otoscope train", package="pyyaml")
    file = Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OtoscopeError(f"cannot read the recipe {file}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OtoscopeError(f"the recipe {file} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise OtoscopeError(f"the recipe {file} must be a mapping of settings; got {type(content).__name__}")
    for override in overrides:
        key, found, value = override.partition("=")
        if not found:
            raise ParameterError(f"an override is written key=value, such as optimiser.epochs=3; got {override!r}")
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ParameterError(
                f"the value of {override!r} is not valid YAML: {' '.join(str(error).split())}"
            ) from error
        _put(content, key.split("."), read)
    recipe = _build(Recipe, content, str(file))
    root, weights = _resolve(file, recipe.data.root), recipe.teacher.weights
    if weights not in ("published", "random"):
        weights = _resolve(file, weights)
    return dataclasses.replace(
        recipe,
        out=recipe.out or f"runs/{recipe.name}",
        data=dataclasses.replace(recipe.data, root=root),
        teacher=dataclasses.replace(recipe.teacher, weights=weights),
    )


def _resolve(recipe_file: Path, path: str) -> str:
    return str((recipe_file.parent / path).resolve()) if path else path


def _put(content: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        nested = content.setdefault(key, {})
        if not isinstance(nested, dict):
            raise ParameterError(f"the override {'.'.join(keys)!r} goes through {key!r}, which is no group of settings")
        content = nested
    content[keys[-1]] = value


def _build(cls: type, content: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(cls)
    for key in content:
        if key not in hints:
            raise UnknownNameError(f"setting in {where}", key, hints)
    return cls(**{key: _convert(hints[key], value, f"{where}: {key}") for key, value in content.items()})


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ParameterError(f"{where} must be a group of settings; got {value!r}")
        return _build(typing.cast(type, kind), value, where)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ParameterError(f"{where} must be a list; got {value!r}")
        return tuple(_convert(typing.get_args(kind)[0], v, where) for v in value)
    if isinstance(kind, types.UnionType):
        return value
    if kind is str and value is None:  # an override such as teacher.model= gives nothing
        return ""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and (number or isinstance(value, str)):  # YAML reads 1e-3 as a string
        try:
            return float(value)
        except ValueError:
            pass
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise ParameterError(f"{where} must be a {kind.__name__}; got {value!r}")
