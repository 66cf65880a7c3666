"""The page of a table in a real browser, from disk: it sorts, filters, keeps inside its window, and asks for nothing."""

import importlib.util
import sys
from pathlib import Path

import pytest

from otoscope.report.pages.leaderboard import write_leaderboard_page


def _sibling(name):
    spec = importlib.util.spec_from_file_location(f"leaderboard_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


made = _sibling("test_leaderboard")


def four_panels():
    """Two conditions by two classifiers, the lines of the first panel in each."""
    contents = made.contents()
    contents["panels"] = [{"condition": c, "classifier": n} for c in ("clean", "white") for n in ("mel", "stft")]
    contents["lines"] = [{**line, "panel": p} for p in range(4) for line in contents["lines"][:4]]
    return contents


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table #1")
    write_leaderboard_page(made.contents(), folder / "two.html")
    write_leaderboard_page(four_panels(), folder / "four.html")
    return folder


@pytest.fixture
def visit(browser, folder):
    """Open a page; at the end nothing may have been logged or asked for from outside."""
    contexts, troubles, requests = [], [], []

    def visit(name="two.html", **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        tab.on("console", lambda m: troubles.append(m.text) if m.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("request", lambda r: requests.append(r.url))
        tab.goto((folder / name).as_uri())
        tab.evaluate("window.otoscope.ready")
        return tab

    yield visit
    for context in contexts:
        context.close()
    assert troubles == []
    assert [u for u in requests if not u.startswith((folder.as_uri(), "data:"))] == []


def state(tab):
    return tab.evaluate("window.otoscope.state()")


def test_a_click_sorts_best_first_and_again_turns_it_around(visit):
    tab = visit()
    head = tab.locator("#panel-0 .sort", has_text="FF")
    head.click()
    assert state(tab)["rows"][0] == ["rise", "oracle:ratio", "random", "Plain gradient"]
    assert state(tab)["rows"][1] == ["rise", "Plain gradient"]  # the other table is as it was
    head.click()
    assert state(tab)["rows"][0] == ["Plain gradient", "random", "oracle:ratio", "rise"]
    assert tab.inner_text("#status").startswith("sorted by FF")
    assert tab.locator("#panel-0 th[aria-sort=ascending]").count() == 1


def test_lower_is_better_sorts_the_other_way_and_unknown_stays_last(visit):
    tab = visit()
    head = tab.locator("#panel-0 .sort", has_text="AD")
    head.click()
    assert state(tab)["rows"][0] == ["rise", "oracle:ratio", "Plain gradient", "random"]
    head.click()
    assert state(tab)["rows"][0] == ["Plain gradient", "oracle:ratio", "rise", "random"]


def test_keys_sort_too(visit):
    tab = visit()
    tab.locator("#panel-0 .sort", has_text="Mass").focus()
    tab.keyboard.press("Enter")  # it came best first
    assert state(tab)["rows"][0] == ["random", "rise", "Plain gradient", "oracle:ratio"]
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Space")
    assert state(tab)["rows"][0] == ["oracle:ratio", "Plain gradient", "random", "rise"]
    assert state(tab)["sorted"][0] == ["method · domain · mask", "ascending"]


def test_counts_sort_as_numbers(visit):
    tab = visit()
    tab.locator("#panel-0 .sort", has_text="failed").click()
    tab.locator("#panel-0 .sort", has_text="failed").click()
    assert state(tab)["rows"][0][0] == "Plain gradient"


def test_filters_show_the_panels_that_fit_both(visit):
    tab = visit("four.html")
    assert state(tab)["panels"] == ["clean, mel"]
    tab.check("input[name=condition][value=white]")
    assert state(tab)["panels"] == ["White noise, mel"]
    tab.check("input[name=classifier][value='']")
    assert state(tab)["panels"] == ["White noise, mel", "White noise, stft"]
    assert tab.inner_text("#status") == "2 tables shown"
    tab.check("input[name=condition][value='']")
    assert len(state(tab)["panels"]) == 4
    assert tab.locator("#agreement tr.of-panel:visible").count() == 1
    tab.check("input[name=condition][value=white]")
    assert tab.locator("#agreement tr.of-panel:visible").count() == 0
    assert tab.locator(".grid-of-plots:visible").count() == 4


def test_filters_by_keys(visit):
    tab = visit("four.html")
    tab.focus("input[name=condition][value=clean]")
    tab.keyboard.press("ArrowRight")
    assert state(tab)["panels"] == ["White noise, mel"]


def test_without_scripts_all_is_there(browser, folder):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((folder / "four.html").as_uri())
    assert tab.locator(".panel:visible").count() == 4
    assert tab.locator("svg.plot:visible").count() == 4 * 4
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_themes_change_the_ground_and_the_plots(visit, scheme):
    tab = visit(color_scheme=scheme)
    parts = {"body": "backgroundColor", ".plot .mean": "stroke", ".plot text": "fill"}
    look = "[" + ", ".join(f"getComputedStyle(document.querySelector('{k}')).{v}" for k, v in parts.items()) + "]"
    before = tab.evaluate(look)
    assert state(tab)["theme"] == scheme
    tab.click("#theme")
    assert state(tab)["theme"] != scheme
    assert all(a != b for a, b in zip(before, tab.evaluate(look), strict=True))
    tab.reload()
    assert state(tab)["theme"] != scheme


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_only_the_tables_scroll_sideways(visit, width):
    tab = visit("four.html", viewport={"width": width, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    box = tab.locator("#panel-0 .results").bounding_box()
    assert box["width"] > 0


def test_the_name_stays_when_the_table_scrolls(visit):
    tab = visit(viewport={"width": 400, "height": 800})
    name = tab.locator("#panel-0 th[scope=row]").first
    before = name.bounding_box()["x"]
    tab.evaluate("document.querySelector('#panel-0 .scroll').scrollLeft = 300")
    assert tab.evaluate("document.querySelector('#panel-0 .scroll').scrollLeft") > 100
    assert name.bounding_box()["x"] == pytest.approx(before, abs=2)


def test_everything_has_a_name(visit):
    tab = visit()
    nameless = tab.evaluate(
        "[...document.querySelectorAll('button, a, input, [role=region], [role=img], svg.plot')].filter((e) => !("
        "e.innerText?.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.closest('label'))).length"
    )
    assert nameless == 0
    ids = tab.evaluate(
        "[...document.querySelectorAll('[aria-labelledby]')].map((e) => e.getAttribute('aria-labelledby'))"
    )
    assert all(tab.locator(f"[id='{name}']").count() == 1 for name in ids)
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")  # the link that skips to the table
    assert tab.evaluate("document.activeElement.className") == "sort"
