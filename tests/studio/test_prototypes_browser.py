"""The view of prototypes in a real browser: hear, delete, add, tune, undo; by keyboard alone; on a phone; without barriers."""

from __future__ import annotations

import re

import pytest

from studio_worlds import state, until

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 740}
WAIT = 30_000


@pytest.fixture
def open_page(browser, client):
    """`open_page(hash, **context)`: the studio's page, ready; errors of its scripts fail the test."""
    contexts, errors = [], []

    def start(hash="", viewport=WIDE, **settings):
        context = browser.new_context(viewport=viewport, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(client.address + hash)
        until(page, "s && s.number !== undefined && s.duration > 0")
        return page

    yield start
    for context in contexts:
        context.close()
    assert errors == []


def row(page, id):
    return page.locator(f'#prototypes tr[data-id="{id}"]')


def test_delete_two_add_one_tune_reload_undo(open_page, workspace):
    page = open_page()
    assert state(page)["prototypes"] == ["p1", "p2", "p3", "p4", "p5", "p6"]
    assert "Validation accuracy 100.0 %" in page.inner_text("#summary")
    row(page, "p1").locator("input").check()
    row(page, "p6").locator("input").check()
    assert page.inner_text("#delete") == "Delete 2 marked"
    page.click("#delete")
    until(page, "s.prototypes.length === 4")
    assert row(page, "p2").locator("td").nth(3).inner_text() == "last of its class"
    page.goto(page.url.split("#")[0] + "#prototypes/clip-2")
    page.reload()
    until(page, "s.item === 'clip-2' && s.duration > 0")
    page.click("#add")
    until(page, "s.prototypes.length === 5")
    page.click("#tune-open")
    page.fill("#tune-epochs", "15")
    page.fill("#tune-lr", "0.02")
    page.click("#tune-form button[value=go]")
    until(page, "document.querySelectorAll('#edits li').length === 4")  # the start, two edits, the tuning
    until(page, "s.job === null && s.number === 4")
    assert "tuned for 15 epochs" in page.inner_text("#edits li:first-child")
    before = state(page)
    page.reload()
    until(page, "s.duration > 0")
    after = state(page)
    assert (after["prototypes"], after["number"], after["item"]) == (before["prototypes"], 4, before["item"])
    for count in (5, 4, 6):
        page.click("#undo")
        until(page, f"s.prototypes.length === {count}")
    assert page.is_disabled("#undo")
    page.click("#redo")
    until(page, "s.prototypes.length === 4")
    assert workspace._opened["prototypes"].session.number == 8


def test_a_prototype_is_heard_and_its_clips_too(open_page):
    page = open_page("#prototypes/p5")
    assert page.inner_text("#heard-title") == "middle 1 (middle)"
    titles = page.locator("#sounds .name bdi").all_inner_texts()
    assert titles == ["Decoded", "Real", "Clip 2", "Clip 3"]
    page.click("#sounds .version:nth-child(2) .head-of")
    until(page, "s.sound === '1' && s.loaded && s.error === null")
    until(page, "window.otoscope.state().time > 0 || !window.otoscope.state().playing")
    assert page.inner_text("#sounds .version:nth-child(2) .said tr:first-child .label") == "middle"
    painted = page.evaluate(
        "(() => { const c = document.getElementById('picture');"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " let n = 0; for (let i = 0; i < d.length; i += 4) if (d[i] > 200) n++; return n / (d.length / 4); })()"
    )
    assert 0.01 < painted < 0.6


def test_the_map_is_clicked_and_filtered(open_page):
    page = open_page()
    assert state(page)["shown"] == 15
    page.evaluate(
        "document.getElementById('map-clips').value = 1; document.getElementById('map-clips').dispatchEvent(new Event('input'))"
    )
    assert state(page)["shown"] == 9
    page.locator("#map-classes input").first.uncheck()
    assert state(page)["shown"] == 6
    page.locator("#map-classes input").first.check()
    page.select_option("#map-x", "2")
    page.focus("#map")
    seen = {state(page)["item"]}
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
        seen.add(state(page)["item"])
    assert len(seen) >= 3
    for x in range(20, int(page.locator("#map").bounding_box()["width"]), 24):
        for y in range(20, 300, 24):
            page.locator("#map").click(position={"x": x, "y": y})
            if state(page)["item"].startswith("clip"):
                break
        else:
            continue
        break
    assert page.is_visible("#add")
    assert re.search(r"#prototypes/clip-\d+$", page.url)


def test_keyboard_alone(open_page):
    """From the top of the page: mark two, merge, rename, undo, tune; no pointer."""
    page = open_page()
    press = page.keyboard.press
    for _ in range(60):
        press("Tab")
        if page.evaluate("document.activeElement.id") == "prototypes" or page.evaluate(
            "document.activeElement.closest('#prototypes') !== null"
        ):
            break
    press("Space")
    assert state(page)["marked"] == ["p1"]
    press("Tab")
    press("Tab")
    press("Space")
    assert state(page)["marked"] == ["p1", "p2"]
    page.focus("#merge")
    press("Enter")
    until(page, "s.prototypes.length === 5")
    page.focus("#name")
    press("Control+a")
    page.keyboard.type("jzy whistle")  # letters are typed, not commands
    press("Enter")
    until(page, "s.names[0] === 'jzy whistle'")
    page.evaluate("document.activeElement.blur()")
    press("z")
    until(page, "s.names[0] === 'high 1'")
    press("y")
    until(page, "s.names[0] === 'jzy whistle'")
    press("j")
    until(page, "s.item === 'p3'")
    press("m")
    assert state(page)["marked"] == ["p3"]
    page.focus("#tune-open")
    press("Enter")
    page.wait_for_selector("#tune-dialog[open]")
    press("Escape")
    page.wait_for_selector("#tune-dialog", state="hidden")
    assert state(page)["job"] is None


def test_a_second_tab_is_told(open_page):
    one, two = open_page(), open_page()
    one.click("#prototypes tr[data-id=p1] button")
    one.click("#delete")
    until(one, "s.prototypes.length === 5")
    two.click("#prototypes tr[data-id=p3] button")
    until(two, "s.item === 'p3'")
    two.click("#delete")
    until(two, "s.trouble !== null")
    assert "changed in another tab or by somebody else" in state(two)["trouble"]
    until(two, "s.prototypes.length === 5")  # it shows what there is now
    two.click("#delete")
    until(two, "s.prototypes.length === 4 && s.trouble === null")


def test_what_is_refused_is_said(open_page):
    page = open_page("#prototypes/p3")
    page.click("#delete")
    until(page, "s.prototypes.length === 5")
    page.click("#prototypes tr[data-id=p4] button")
    until(page, "s.item === 'p4'")
    page.click("#delete")
    until(page, "s.trouble !== null")
    assert "class low would be left without a prototype; keep one of them, or add a clip" in state(page)["trouble"]
    assert state(page)["prototypes"] == ["p1", "p2", "p4", "p5", "p6"]


def test_a_wrong_token(browser, client):
    page = browser.new_page()
    page.goto(client.address.replace("a-token", "another-token"))
    assert "the token is missing or wrong" in page.content()
    page.close()


@pytest.mark.parametrize("viewport", [WIDE, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barriers_and_nothing_beside_the_screen(open_page, viewport, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page = open_page(viewport=viewport, color_scheme=scheme)
    page.locator("#sounds .thumb").first.scroll_into_view_if_needed()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= viewport["width"]
    for dialog in (None, "#tune-open"):
        if dialog:
            page.click(dialog)
        found = axe.Axe().run(page)
        assert found.response["violations"] == [], [
            (v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found.response["violations"]
        ]


def test_a_tuning_can_be_cancelled_and_the_page_stays_alive(open_page):
    page = open_page()
    page.click("#tune-open")
    page.fill("#tune-epochs", "1000")
    page.fill("#tune-lr", "0.00001")
    page.click("#tune-form button[value=go]")
    page.wait_for_selector("#job", state="visible")
    assert page.is_disabled("#delete")
    page.click("#prototypes tr[data-id=p3] button")
    until(page, "s.item === 'p3'")
    page.click("#job-cancel")
    page.wait_for_selector("#job", state="hidden")
    until(page, "s.number === 2")  # it began and ended
    until(page, "!document.getElementById('delete').disabled")
    assert state(page)["prototypes"] == ["p1", "p2", "p3", "p4", "p5", "p6"]
