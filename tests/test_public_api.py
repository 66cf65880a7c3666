"""The names that people use: they are there, they are documented, and they cost nothing until they are called."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import otoscope

NAMES = {
    "Attribution", "Autoencoder", "Classifier", "Clip", "Explanation", "Grid", "Mask", "OtoscopeError", "Scores", "Target",
    "auralise", "classify", "explain", "load_audio", "load_autoencoder", "load_classifier", "replay", "wrap", "wrap_function",
}  # fmt: skip


def test_the_public_names():
    assert set(otoscope.__all__) == NAMES
    assert otoscope.__all__ == sorted(otoscope.__all__)
    assert {name for name in dir(otoscope) if not name.startswith("_")} == NAMES
    assert "__version__" in dir(otoscope)


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


# Types, as a checker of a caller's code sees them

SNIPPET = """
import otoscope
reveal_type(otoscope.load_audio("bark.wav"))
reveal_type(otoscope.load_classifier("esc10-mn"))
reveal_type(otoscope.wrap)
reveal_type(otoscope.classify("bark.wav"))
reveal_type(otoscope.replay("bark/explanation.json"))
reveal_type(otoscope.Explanation.kept)
reveal_type(otoscope.explain("bark.wav"))
reveal_type(otoscope.explain(["bark.wav", "rain.wav"]))
otoscope.explian
"""


@pytest.fixture(scope="module")
def revealed(tmp_path_factory):
    """What mypy says of each line of the snippet: line -> message. Foreign packages are skipped, which keeps it fast."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "caller.py").write_text(SNIPPET.lstrip())
    foreign = ",".join(
        f"{name}.*" for name in ("torch", "numpy", "scipy", "pandas", "av", "soundfile", "soxr", "matplotlib")
    )
    (folder / "mypy.ini").write_text(
        f"[mypy]\nignore_missing_imports = True\n[mypy-{foreign}]\nfollow_imports = skip\n"
    )
    source = Path(otoscope.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", "cache", "--follow-imports", "silent",
         "caller.py"],
        cwd=folder, env={**os.environ, "MYPYPATH": str(source)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    return {int(line): text for line, text in re.findall(r"^caller\.py:(\d+): (.*)$", done.stdout, re.MULTILINE)}


def test_the_package_says_that_it_is_typed():
    assert (Path(otoscope.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (2, '"otoscope.core.records.Clip"'),
        (3, '"otoscope.classifiers.base.Classifier"'),
        (4, "-> otoscope.classifiers.base.Classifier"),
        (5, "list[dict[str, Any]]"),
        (6, '"otoscope.explanation.explanation.Explanation"'),
        (7, '"def (self: otoscope.explanation.explanation.Explanation) -> otoscope.core.records.Clip"'),
        (8, '"otoscope.explanation.explanation.Explanation"'),
        (9, '"list[otoscope.explanation.explanation.Explanation]"'),
        (10, 'Module has no attribute "explian"'),
    ],
)
def test_types_of_the_front_door(revealed, line, wanted):
    assert wanted in revealed[line].replace("builtins.", "")
