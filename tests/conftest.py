"""Fixtures that all rooms share. Real recordings are optional: what needs them skips and says what is missing."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import settings

SHARED = Path(os.environ.get("OTOSCOPE_SHARED", Path(__file__).resolve().parents[2] / "shared"))

CHROMIUM = "/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--autoplay-policy=no-user-gesture-required",
]

settings.register_profile("same", derandomize=True)  # every run tries the same examples
settings.register_profile("explore")
settings.load_profile(os.environ.get("OTOSCOPE_HYPOTHESIS", "same"))


def pytest_configure() -> None:
    torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Modules and tests live to the end: the garbage collector need not visit them each time."""
    gc.collect()
    gc.freeze()


def need(path: str) -> Path:
    """A file or folder of the shared real data, or a skip that names it."""
    found = SHARED / "data" / path
    if not found.exists():
        pytest.skip(f"needs real data that is not here: {found}")
    return found


@pytest.fixture(scope="session")
def shared():
    """`shared("clips/typing.wav")`: the path, or a skip."""
    return need


@pytest.fixture(scope="session")
def tagger():
    """The published mn04_as with its published weights."""
    import otoscope

    return otoscope.load_classifier("mn04_as", need("weights/mn04_as_mAP_432.pt"))


@pytest.fixture(scope="session")
def esc10_mn():
    """The built-in classifier."""
    import otoscope

    return otoscope.load_classifier("esc10-mn")


@pytest.fixture
def study(tmp_path):
    """`study(rows, **about)`: these rows, read from a study's folder."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    from otoscope.results import read_results
    from result_rows import write_study

    def make(rows, **about):
        return read_results(write_study(tmp_path / "study", rows, **about))

    return make


@pytest.fixture(scope="session")
def browser():
    """One browser for all tests of pages: its driver may run only once in a process."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()
