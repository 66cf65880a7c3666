"""What a recipe may hold: frozen pydantic models, and their errors as Otoscope's own, in one line.

A setting is declared once, where its default, range, choices and meaning stand together::

    lr: float = Field(2e-3, ge=0, le=1e3, description="Highest learning rate.")

YAML is met halfway: ``1e-3``, which YAML reads as text, is a number; a single value is a list of one; a number that stands
where a name is expected as a key is a name; an empty value is an empty text. Nothing else is converted.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.runtime import require

require("pydantic", "train", "a recipe")

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator  # noqa: E402
from pydantic.fields import FieldInfo  # noqa: E402
from pydantic.json_schema import SkipJsonSchema  # noqa: E402
from pydantic_core import PydanticCustomError  # noqa: E402

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as _Metaclass
else:
    _Metaclass = type(BaseModel)

NO_PATHS = ("", "published", "random")
S = TypeVar("S", bound="Settings")


@dataclass(frozen=True)
class PathMark:
    """Marks a text as a path, which the reader makes absolute.

    Parameters
    ----------
    dotted : bool
        Only texts that begin with ``./`` or ``../`` are paths; all others are names.
    """

    dotted: bool = False

    def is_path(self, value: Any) -> bool:
        """Whether a value is a path that depends on the folder in which it was written."""
        if not isinstance(value, str):
            return False
        return value.startswith(("./", "../")) if self.dotted else value not in NO_PATHS


FilePath = Annotated[str, PathMark()]
NameOrPath = Annotated[str, PathMark(dotted=True)]
Fold = int | str


class _Translating(_Metaclass):
    """Python code that builds settings gets the same errors as a recipe."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise translate(error, cls) from None


class Settings(BaseModel, metaclass=_Translating):
    """A group of settings: frozen, unknown keys refused, types strict but for what YAML cannot write."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", use_attribute_docstrings=False)

    @field_validator("*", mode="before")
    @classmethod
    def _from_yaml(cls, value: Any, info: ValidationInfo) -> Any:
        return from_yaml(cls.model_fields[str(info.field_name)].annotation, value)

    def replace(self: S, **changes: Any) -> S:
        """The same settings with some of them changed, and checked again."""
        return build_settings(type(self), {**dict(self), **changes})


def build_settings(cls: type[S], content: Mapping[str, Any]) -> S:
    """Settings from plain data, each checked for name, type, range and choice.

    Parameters
    ----------
    cls : type
        A child of `Settings`.
    content : mapping
        As a YAML or JSON file holds it.

    Raises
    ------
    UnknownNameError
        For a key or a choice that does not exist, with the nearest ones.
    ParameterError
        For a value of another type or out of range.
    """
    try:
        return cls.model_validate({str(key): value for key, value in content.items()})
    except ValidationError as error:
        raise translate(error, cls) from None


def from_yaml(kind: Any, value: Any) -> Any:
    """A value as YAML reads it, in the form that a strict model takes."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return from_yaml(inner[0], value)
    if origin is tuple:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            value = [value]
        return tuple(from_yaml(inner[0], v) for v in value) if isinstance(value, list | tuple) else value
    if origin is dict and isinstance(value, Mapping):
        if len({str(key) for key in value}) < len(value):
            raise PydanticCustomError(
                "twice", f"names an entry twice, once as a number and once as text: {list(value)}"
            )
        if not (isinstance(inner[1], type) and issubclass(inner[1], BaseModel)):
            _check_plain(value)
        return {str(key): from_yaml(inner[1], v) for key, v in value.items()}
    if value is None and (
        kind is str or (origin is Literal and "" in inner)
    ):  # an override such as teacher.model= has no value
        return ""
    if kind is float and (type(value) is int or isinstance(value, str)):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return value
    return value


def _check_plain(value: Any) -> None:
    """Refuse values that a file cannot hold."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise PydanticCustomError("plain", "must hold only texts, numbers, lists and groups of these") from None


def translate(error: ValidationError, cls: Any) -> OtoscopeError:
    """The first thing that pydantic found wrong, as one of Otoscope's errors: unknown names come first."""
    found = error.errors(include_url=False)
    unknown = [e for e in found if e["type"] in ("extra_forbidden", "invalid_key")]
    first = (unknown or found)[0]
    keys, kind, field = _follow(cls, first["loc"])
    where, value, what = ": ".join(keys), first.get("input"), first["type"]
    if what in ("extra_forbidden", "invalid_key"):
        *group, key = keys
        return UnknownNameError(f"setting{' in ' + ': '.join(group) if group else ''}", key, _known(kind))
    if what == "literal_error":
        return UnknownNameError(where, value, [str(choice) for choice in get_args(kind)])
    return ParameterError(f"{where} {_complaint(what, kind, field, first)}")


def _complaint(what: str, kind: Any, field: FieldInfo | None, found: Mapping[str, Any]) -> str:
    got = f"got {found.get('input')!r}"
    if what in ("plain", "twice"):
        return str(found["msg"])
    if field is not None and re.match("(greater|less)_than", what):
        return f"must lie in {_range(field)}; {got}"
    if get_origin(kind) in (Union, types.UnionType):
        return f"must be a number or a name; {got}"
    if get_origin(kind) is tuple:
        return f"must be a list; {got}"
    if get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return f"must be a group of settings; {got}"
    if kind in (int, float, str, bool):
        return f"must be a {kind.__name__}; {got}"
    return f"is not right: {found['msg']}; {got}"


def _range(field: FieldInfo) -> str:
    """The range of a field, as it is written in mathematics."""
    ends = {end: getattr(m, end) for m in field.metadata for end in ("ge", "gt", "le", "lt") if hasattr(m, end)}
    low = f"[{_number(ends['ge'])}" if "ge" in ends else f"({_number(ends.get('gt', '-inf'))}"
    high = f"{_number(ends['le'])}]" if "le" in ends else f"{_number(ends.get('lt', 'inf'))})"
    return f"{low}, {high}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _follow(cls: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], Any, FieldInfo | None]:
    """A place in a model: its keys without places in lists, what is expected there, and the field it belongs to."""
    keys: list[str] = []
    kind: Any = cls
    field: FieldInfo | None = None
    for step in location:
        origin, inner = get_origin(kind), get_args(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys.append(str(step))
            field = kind.model_fields.get(str(step))
            if field is not None:
                kind = field.annotation
        elif origin is dict:
            keys.append(str(step))
            kind = inner[1]
        elif origin is tuple:
            kind = inner[0]
        if get_origin(kind) is Annotated:
            field, kind = FieldInfo.from_annotation(kind), get_args(kind)[0]
    return keys, kind, field


def _known(kind: Any) -> list[str]:
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def path_fields(*models: type[BaseModel]) -> dict[tuple[str, ...], PathMark]:
    """Where models hold paths: keys -> how these are recognised; ``*`` stands for every key of a mapping."""
    return {keys: mark for model in models for keys, mark in _marked(model, ())}


def _marked(kind: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], PathMark]]:
    if get_origin(kind) is dict:
        yield from _marked(get_args(kind)[1], (*keys, "*"))
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            marks = [m for m in field.metadata if isinstance(m, PathMark)]
            if marks:
                yield (*keys, name), marks[0]
            else:
                yield from _marked(field.annotation, (*keys, name))


def check_name(name: str, out: str = "") -> None:
    """Refuse a name that no file can have, and a folder that cannot be.

    Raises
    ------
    ParameterError
    """
    if not re.fullmatch(r"[\w][\w .-]*", name):
        raise ParameterError(f"name must be a file's name of letters, digits, '-', '_' and '.'; got {name!r}")
    if "\0" in out:
        raise ParameterError("out must be a folder's name; it holds a NUL character")


def group(cls: type[S], description: str = "") -> Any:
    """A field that is a group of settings, by default with the defaults of all of them."""
    make: Callable[[], S] = cls
    return Field(default_factory=make, description=description or (cls.__doc__ or "").split("\n")[0])


__all__ = [
    "Field", "FilePath", "Fold", "NameOrPath", "Settings", "SkipJsonSchema", "build_settings", "check_name", "group", "path_fields",
]  # fmt: skip
