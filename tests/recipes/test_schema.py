"""Settings on their own: what YAML may write, what errors say, what a schema shows."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Annotated, Literal

import pytest

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.recipes.schema import (
    Field,
    FilePath,
    Fold,
    NameOrPath,
    Settings,
    build_settings,
    group,
    path_fields,
)
from otoscope.studies import LikeToHearRecipe, StudyRecipe, load_like_to_hear, load_study
from otoscope.training import AutoencoderRecipe, Recipe, load_recipe

STORED = json.loads((Path(__file__).parent / "identities.json").read_text(encoding="utf-8"))


class Inner(Settings):
    """A group."""

    rate: float = Field(1.0, ge=0, le=2, description="A rate.")
    place: FilePath = Field("", description="A file.")
    parts: tuple[Literal["left", "right"], ...] = Field((), description="Sides.")
    shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field((), description="Shares.")


class Outer(Settings):
    """All."""

    count: int = Field(1, ge=1, description="How many.")
    name: str = Field("", description="A name.")
    flag: bool = Field(False, description="A flag.")
    folds: tuple[Fold, ...] = Field((), description="Folds.")
    who: NameOrPath = Field("", description="A model.")
    inner: Inner = group(Inner)
    entries: dict[str, Inner] = Field({}, description="Entries.")
    texts: dict[str, str] = Field({}, description="Texts.")


def test_yaml_is_met_halfway_and_no_further():
    made = build_settings(
        Outer,
        {
            "name": None, "folds": 3, "inner": {"rate": "1e-3", "shares": 0.5, "parts": "left"},
            "entries": {1: {"rate": 2}}, "texts": {5: "five"},
        },
    )  # fmt: skip
    assert (made.name, made.folds, made.inner.rate, made.inner.shares) == ("", (3,), 1e-3, (0.5,))
    assert made.inner.parts == ("left",)
    assert made.entries == {"1": Inner(rate=2.0)}
    assert type(made.entries["1"].rate) is float
    assert made.texts == {"5": "five"}


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        ({"cuont": 1}, UnknownNameError, "unknown setting 'cuont'; did you mean 'count'?"),
        ({3: 1}, UnknownNameError, "unknown setting '3'; there are count, name"),
        ({"inner": {"rat": 1}}, UnknownNameError, "unknown setting in inner 'rat'; did you mean 'rate'?"),
        ({"entries": {"a": {"rat": 1}}}, UnknownNameError, "unknown setting in entries: a 'rat'; did you mean 'rate'?"),
        ({"count": 0}, ParameterError, r"^count must lie in \[1, inf\); got 0$"),
        ({"count": 1.0}, ParameterError, "count must be a int; got 1.0"),
        ({"count": True}, ParameterError, "count must be a int; got True"),
        ({"name": 3}, ParameterError, "name must be a str; got 3"),
        ({"flag": 1}, ParameterError, "flag must be a bool; got 1"),
        ({"inner": {"rate": 3}}, ParameterError, r"inner: rate must lie in \[0, 2\]; got 3.0"),
        ({"inner": {"rate": ".nan"}}, ParameterError, "inner: rate must be a float; got '.nan'"),
        ({"inner": {"rate": float("nan")}}, ParameterError, "inner: rate must lie in"),
        ({"inner": {"shares": [0.5, 1]}}, ParameterError, r"inner: shares must lie in \(0, 1\); got 1.0"),
        (
            {"inner": {"parts": ["left", "rigt"]}},
            UnknownNameError,
            "unknown inner: parts 'rigt'; did you mean 'right'?",
        ),
        ({"inner": [1]}, ParameterError, r"inner must be a group of settings; got \[1\]"),
        ({"entries": 1}, ParameterError, "entries must be a group of settings; got 1"),
        ({"entries": {1: {}, "1": {}}}, ParameterError, "entries names an entry twice"),
        ({"folds": {"a": 1}}, ParameterError, "folds must be a list; got {'a': 1}"),
        ({"folds": [None]}, ParameterError, "folds must be a number or a name; got None"),
        ({"texts": {"a": 1}}, ParameterError, "texts: a must be a str; got 1"),
        ({"texts": {"a": {1, 2}}}, ParameterError, "texts must hold only texts, numbers, lists"),
    ],
)
def test_errors_are_one_line_of_our_own(content, error, said):
    with pytest.raises(error, match=said) as caught:
        build_settings(Outer, content)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_python_gets_the_same_errors_and_settings_are_frozen():
    with pytest.raises(ParameterError, match="count must lie in"):
        Outer(count=0)
    with pytest.raises(UnknownNameError, match="did you mean 'count'"):
        Outer(cuont=1)
    made = Outer(count=2, inner=Inner(rate=0.5))
    with pytest.raises(ValueError, match="frozen"):
        made.count = 3
    assert made.replace(count=4) == Outer(count=4, inner=Inner(rate=0.5))
    assert made.count == 2
    with pytest.raises(OtoscopeError, match="count must lie in"):
        made.replace(count=0)
    assert pickle.loads(pickle.dumps(made)) == made


def test_paths_are_declared_at_the_field():
    found = path_fields(Outer)
    assert set(found) == {("who",), ("inner", "place"), ("entries", "*", "place")}
    assert found["who",].is_path("./a")
    assert not found["who",].is_path("a/b")
    assert found["inner", "place"].is_path("a")
    assert not found["inner", "place"].is_path("published")
    assert set(path_fields(StudyRecipe)) >= {("classifiers", "*", "model"), ("data", "noises")}


@pytest.mark.parametrize("cls", [Recipe, AutoencoderRecipe, StudyRecipe, LikeToHearRecipe], ids=lambda c: c.__name__)
def test_every_setting_has_words_in_the_schema(cls):
    schema = cls.model_json_schema()
    groups = [schema, *schema["$defs"].values()]
    assert all(g["additionalProperties"] is False and g["description"] for g in groups)
    silent = [
        name for g in groups for name, field in g["properties"].items() if not {"description", "$ref"} & set(field)
    ]
    assert silent == []
    assert "folder" not in schema["properties"]


@pytest.mark.parametrize("name", STORED)
def test_a_run_of_an_older_version_is_still_the_same_run(name):
    """`identities.json` was written by the version before recipes were pydantic models."""
    read = {"studies/first": load_study, "like-to-hear/esc10": load_like_to_hear}.get(name, load_recipe)
    made = read(name.split(), ["data.root=/data"])
    assert json.loads(json.dumps(made.identity())) == STORED[name]
