"""The atlas in a browser: search, keys, sounds, phone width, axe."""

from __future__ import annotations

import pytest

from feature_worlds import RATE, bursts, planted_classifier, tone
from otoscope.auralisation import make_atlas
from otoscope.datasets import Example


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    import soundfile

    folder = tmp_path_factory.mktemp("atlas")
    made = []
    for i, (name, sound) in enumerate({"band": tone(1100), "burst": bursts((1.2,))}.items()):
        soundfile.write(folder / f"{name}.wav", sound, RATE, subtype="FLOAT")
        made.append(Example(folder / f"{name}.wav", name, fold=1, source=name, index=i))
    make_atlas(planted_classifier(), made, folder / "out", ["planted"])
    return folder / "out" / "atlas.html"


@pytest.fixture
def open_page(browser, page_file):
    pages = []

    def make(width=1200):
        page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        page.errors = []
        page.on("pageerror", lambda e: page.errors.append(str(e)))
        page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
        page.goto(page_file.as_uri())
        pages.append(page)
        return page

    yield make
    for page in pages:
        assert page.errors == []
        page.context.close()


def wait_for_sound(page, kind):
    ready = f"[...document.querySelectorAll('audio')].some((a) => a.dataset.kind === '{kind}' && a.readyState >= 2)"
    for _ in range(100):
        if page.evaluate(ready):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{kind} was not loaded")


def state(page):
    return page.evaluate("window.otoscope.state()")


def test_search_sort_and_layer(open_page):
    page = open_page()
    assert state(page) == {"shown": 4, "chosen": "planted 0"}
    page.fill("#search", "onsets")
    assert state(page) == {"shown": 1, "chosen": "planted 0"}
    page.fill("#search", "775 hz")
    assert state(page) == {"shown": 1, "chosen": "planted 2"}
    page.fill("#search", "nothing like it")
    assert state(page) == {"shown": 0, "chosen": None}
    assert page.locator("#one").is_hidden()
    page.fill("#search", "")
    page.check("input[name=sort][value=name]", force=True)
    assert page.locator(".feature span").first.text_content() == "harmonics of 494 Hz"


def test_keys_walk_and_play(open_page):
    page = open_page()
    page.focus("#features")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert state(page)["chosen"] == "planted 2"
    wait_for_sound(page, "Auralised")
    page.keyboard.press("o")
    wait_for_sound(page, "Original")
    page.keyboard.press("ArrowLeft")
    assert state(page)["chosen"] == "planted 1"
    assert "explains" in page.locator("#one-name").text_content()


def test_small_pictures_are_drawn_in_their_tiles(open_page):
    page = open_page()
    box, tile = page.locator(".feature canvas").first.bounding_box(), page.locator(".feature").first.bounding_box()
    assert tile["x"] <= box["x"]
    assert box["x"] + box["width"] <= tile["x"] + tile["width"]
    assert tile["y"] <= box["y"] < tile["y"] + tile["height"]


@pytest.mark.parametrize("width", [390, 1200])
def test_no_sideways_scrolling_and_no_violations(open_page, width):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
