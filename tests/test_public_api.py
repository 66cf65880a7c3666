"""The names that people use: they are there, they are documented, and they cost nothing until they are called."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import otoscope

NAMES = {
    "Attribution", "Autoencoder", "Classifier", "Clip", "Explanation", "Grid", "Mask", "OtoscopeError", "Scores", "Target",
    "classify", "explain", "load_audio", "load_autoencoder", "load_classifier", "replay", "wrap",
}  # fmt: skip


def test_the_public_names():
    assert set(otoscope.__all__) == NAMES
    assert otoscope.__all__ == sorted(otoscope.__all__)
    assert set(dir(otoscope)) >= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_is_there_and_documented(name):
    thing = getattr(otoscope, name)
    assert thing.__name__ == name
    assert (inspect.getdoc(thing) or "").strip()
    assert getattr(otoscope, name) is thing


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'otoscope' has no attribute 'explian'"):
        _ = otoscope.explian
    with pytest.raises(ImportError):
        from otoscope import nothing  # noqa: F401


def test_the_verb_is_not_hidden_by_a_module():
    importlib.import_module("otoscope.explanation.explain")
    assert callable(otoscope.explain)
    assert callable(otoscope.replay)


def test_star_import_in_a_fresh_process():
    done = subprocess.run(
        [sys.executable, "-c", "from otoscope import *; print(sorted(n for n in globals() if not n.startswith('_')))"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    assert eval(done.stdout) == sorted(NAMES)


def test_looking_is_free():
    code = (
        "import sys, otoscope\n"
        "dir(otoscope); repr(otoscope); otoscope.__version__; hasattr(otoscope, 'nothing')\n"
        "print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert otoscope.__version__ == version("otoscope")


@pytest.mark.parametrize("name", ["explain", "classify", "replay", "load_audio", "load_classifier", "wrap"])
def test_the_documented_parameters_are_those_of_the_signature(name):
    verb = getattr(otoscope, name)
    text = inspect.getdoc(verb)
    if name == "classify":
        text += inspect.getdoc(otoscope.explain) + "top_k : int"
    for parameter in inspect.signature(verb).parameters:
        assert f"{parameter}" in text, parameter


def test_what_an_explanation_offers():
    for name in (
        "kept", "removed", "heard", "metrics", "plot", "save", "to_html", "_repr_html_", "verdict", "record", "notes", "top",
    ):  # fmt: skip
        assert hasattr(otoscope.Explanation, name), name
    fields = otoscope.Explanation.__dataclass_fields__
    assert {"attribution", "mask", "scores", "target", "classifier", "source"} <= set(fields)
