"""The command group: help, names, exit codes, and what a fresh process loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import otoscope as package
from otoscope.cli.main import COMMANDS

SCRIPT = Path(sys.executable).with_name("otoscope")


def fresh(code: str, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_lists_every_command(otoscope, arguments):
    run = otoscope(*arguments)
    assert run.code == (0 if arguments else 2)
    text = run.out + run.err
    for name, what in COMMANDS.items():
        assert name in text
        assert what in text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(otoscope, command):
    run = otoscope(command, "--help")
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith(f"Usage: otoscope {command}")
    assert "--help" in run.out


def test_help_of_explain_names_every_option(otoscope):
    out = otoscope("explain", "-h").out
    for option in (
        "--model", "--weights", "--method", "--domain", "--target", "--mask", "--out", "--json", "--seed", "--device",
        "--batch-size",
    ):  # fmt: skip
        assert option in out


def test_the_version(otoscope):
    run = otoscope("--version")
    assert (run.code, run.out) == (0, f"otoscope, version {package.__version__}\n")


def test_a_fresh_import_loads_no_heavy_package_and_prints_nothing():
    heavy = ("torch", "numpy", "matplotlib", "soundfile", "av", "soxr", "safetensors", "captum", "tqdm", "click")
    done = fresh(f"import sys, otoscope; print([m for m in {heavy} if m in sys.modules])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_help_loads_neither_torch_nor_numpy():
    code = (
        "import sys\nfrom otoscope.cli import main\n"
        "try: main(sys.argv[1:] or ['--help'])\n"
        "finally: print([m for m in ('torch', 'numpy') if m in sys.modules], file=sys.stderr)"
    )
    done = fresh(code)
    assert done.returncode == 0
    assert done.stderr == "[]\n"


def test_the_script_is_installed_and_says_what_is_wrong_in_one_line(tmp_path):
    done = subprocess.run([SCRIPT, "explan", "a.wav"], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "otoscope: unknown command 'explan'; did you mean 'explain'?\n"


@pytest.mark.parametrize(
    ("name", "near"),
    [("explian", "'explain'"), ("clasify", "'classify'"), ("method", "'methods'"), ("zzz", "explain, ")],
)
def test_an_unknown_command_offers_the_nearest(otoscope, name, near):
    run = otoscope(name)
    assert run.code == 2
    assert f"unknown command {name!r}" in run.error
    assert near in run.error


def test_an_unknown_option_offers_the_nearest(otoscope):
    run = otoscope("explain", "--metod", "rise", "a.wav")
    assert run.code == 2
    assert run.error.startswith("otoscope: No such option '--metod'")
    assert "--method" in run.error
    assert run.error.endswith("; see otoscope explain --help")


def test_no_file_is_wrong_usage(otoscope):
    for command in ("explain", "classify"):
        run = otoscope(command)
        assert run.code == 2
        assert "AUDIO" in run.error


def test_a_reader_that_goes_away_is_no_error():
    """`otoscope masks --json | head -1`."""
    first = subprocess.Popen([SCRIPT, "masks", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first.stdout.close()
    error = first.stderr.read()
    first.stderr.close()
    assert first.wait(120) in (0, 1)
    assert b"Traceback" not in error
    assert b"Exception" not in error


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_terminal_can_print_any_label(tmp_path, encoding):
    code = (
        "from otoscope.cli.columns import echo_json, echo_table\n"
        "rows = [('\\udcff\\n.wav', 'Gr\\u00fc\\u00dfe \\u7345\\u5b50')]\n"
        "echo_table(('file', 'label'), rows); echo_json(rows)"
    )
    done = fresh(code, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr


def test_an_interrupt_is_130(otoscope, monkeypatch):
    from otoscope.core import registry

    def stop(_kind):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "entries", stop)
    run = otoscope("masks")
    assert run.code == 130
    assert run.error == "otoscope: interrupted; files written so far are complete"


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "--seed", "x", "a.wav"],
        ["masks", "more"],
        ["explan"],
        ["data", "chek"],
        ["data", "get", "esc50"],
        ["-x"],
    ],
)
def test_wrong_usage_is_one_line(otoscope, arguments):
    run = otoscope(*arguments)
    assert (run.code, run.out) == (2, "")
    assert run.error.startswith("otoscope: ")
    assert run.err == run.error + "\n"


@pytest.mark.parametrize(
    ("error", "why"), [(EOFError("Ran out of input"), "Ran out of input"), (EOFError(), "EOFError")]
)
@pytest.mark.parametrize("arguments", [["masks"], ["data"]])
def test_a_file_that_ends_early_is_no_interrupt(otoscope, monkeypatch, error, why, arguments):
    from otoscope.core import registry

    def stop(_kind):
        raise error

    monkeypatch.setattr(registry, "entries", stop)
    run = otoscope(*arguments)
    assert run.code == 2
    assert run.error == f"otoscope: unexpected end of file ({why})"
