"""The view of features in a real browser: make the atlas, walk, hear in another clip by another way; phone; no barriers."""

from __future__ import annotations

import functools

import pytest
import soundfile

import studio_worlds
from feature_worlds import RATE, bursts, planted_classifier, tone
from otoscope.datasets import Dataset, Example
from otoscope.studio import Workspace
from studio_worlds import state

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 780}
until = functools.partial(studio_worlds.until, seconds=60)  # the atlas is made


@pytest.fixture
def client(serving, tmp_path):
    examples = []
    for i, (name, sound) in enumerate({"band": tone(1100), "burst": bursts((1.2,))}.items()):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE, subtype="FLOAT")
        examples.append(Example(tmp_path / f"{name}.wav", name, fold=1, source=name, index=i))
    data = Dataset("clips", ("band", "burst"), tuple(examples), "none")
    work = Workspace(planted_classifier(), {"training": data}, tmp_path / "studio")
    yield serving(work)
    work.close()


@pytest.fixture
def open_page(browser, client):
    contexts, errors = [], []

    def start(hash="", viewport=WIDE):
        context = browser.new_context(viewport=viewport)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(client.address + hash)
        until(page, "s && s.atlas !== undefined")
        return page

    yield start
    for context in contexts:
        context.close()
    assert errors == []


def make(page):
    page.fill("#make-layers", "planted")
    page.click("#make-go")
    until(page, "s.atlas && s.versions.length > 0")


def test_make_walk_hear_and_reload(open_page):
    page = open_page()
    assert page.inner_text("#atlas-summary") == "There is no atlas of this model yet."
    make(page)
    assert "4 features in 1 layers" in page.inner_text("#atlas-summary")
    assert state(page)["versions"] == ["Original", "What draws it", "The rest"]
    page.keyboard.press("n")
    page.keyboard.press("n")
    until(page, "s.feature === 'planted|2' && s.clip === 0 && s.versions.length === 3")
    assert "sound 775 Hz to 1.76 kHz" in page.inner_text("#one-name")
    page.click("#play")
    until(page, "s.playing")
    page.keyboard.press("w")
    until(page, "s.way === 'guided_backprop'")
    page.select_option("#atlas-clip", label="burst.wav (burst)")
    until(page, "s.clip === 1")
    page.reload()
    until(page, "s && s.feature === 'planted|2' && s.versions.length > 0")
    page.fill("#search", "onsets")
    assert state(page)["found"] == 1


def test_what_goes_wrong_is_said(open_page):
    page = open_page()
    page.fill("#make-layers", "plantd")
    page.click("#make-go")
    until(page, "s.trouble")
    assert "did you mean 'planted'" in state(page)["trouble"]
    assert page.is_enabled("#make-go")


def test_a_search_leaves_what_is_heard(open_page):
    page = open_page()
    make(page)
    page.locator(".feature").nth(3).click()
    until(page, "s.feature === 'planted|3' && s.item === 'planted|3'")
    page.fill("#search", "onsets")
    assert (state(page)["found"], state(page)["feature"]) == (1, "planted|3")
    page.fill("#search", "nothing like it")
    assert (state(page)["found"], state(page)["feature"]) == (0, "planted|3")
    page.select_option("#atlas-way", "lrp")
    until(page, "s.way === 'lrp'")
    assert page.inner_text("#one-name").startswith("planted, feature 3")
    page.fill("#search", "")
    page.locator(".feature").nth(1).click()
    until(page, "s.feature === 'planted|1' && s.item === 'planted|1'")


def test_an_address_of_a_feature_that_is_not_there(open_page):
    page = open_page()
    make(page)
    page.goto(page.url.split("#")[0] + "#atlas/planted%7C99")
    until(page, "s && s.trouble")
    assert "has no feature 99 of planted" in state(page)["trouble"]


def test_a_job_that_fails_is_told(open_page, tmp_path):
    page = open_page()
    (tmp_path / "studio" / "atlas").write_text("in the way")
    page.fill("#make-layers", "planted")
    page.click("#make-go")
    until(page, "s.trouble")
    until(page, "document.getElementById('make-go').disabled === false")


def test_the_theme_changes_once_a_click(open_page):
    page = open_page()
    make(page)
    before = state(page)["theme"]
    page.click("#theme")
    assert state(page)["theme"] != before


@pytest.mark.parametrize("viewport", [WIDE, PHONE])
def test_no_barriers(open_page, viewport):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(viewport=viewport)
    for ready in (False, True):
        if ready:
            make(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
