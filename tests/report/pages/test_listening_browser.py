"""The listening page in a real browser, from disk and from a static server: it plays in step, switches, filters, draws."""

import base64
import copy
import functools
import http.server
import importlib.util
import re
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from otoscope.report.pages.listening import write_listening_page


def _sibling(name):
    spec = importlib.util.spec_from_file_location(f"listening_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


made = _sibling("test_listening")
SECONDS = 3.0
VERSIONS = ["Original", "Control, autoencoder, MSE only"] + [
    f"{network}, {start}" for network in ("MN", "DyMN") for start in ("pre-trained by MSE", "random weights")
]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A page of three clips; in the second the networks err."""
    folder = tmp_path_factory.mktemp("listening #1 é")  # a name that an address must quote
    contents = made.contents_in(folder, clips=3, seconds=SECONDS)
    contents["clips"][1]["label"] = "rain"
    write_listening_page(folder, contents)
    return folder


@pytest.fixture(scope="session")
def site(folder):
    """The address of the folder on a plain static server, which knows no ranges."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def visit(browser, folder, site):
    """Open the page; at the end nothing may have been logged as an error or asked for from outside."""
    contexts, troubles, requests, inside = [], [], [], [folder.as_uri(), site]

    def visit(where="disk", base=folder, allow=(), script=None, after="", **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        inside.append(base.as_uri())
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        tab.asked = []
        bad = ("error", "warning")
        allow = (*allow, "willReadFrequently")  # about `pixels` below
        tab.on(
            "console",
            lambda m: troubles.append(m.text) if m.type in bad and not any(a in m.text for a in allow) else None,
        )
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("request", lambda r: (requests.append(r.url), tab.asked.append(r.url.rpartition("/")[2])))
        tab.on("requestfailed", lambda r: requests.remove(r.url) if r.failure == "csp" else None)
        if script:
            tab.add_init_script(script)
        tab.goto(((base / "index.html").as_uri() if where == "disk" else site) + after)
        tab.evaluate("window.otoscope.ready")
        return tab

    yield visit
    for context in contexts:
        context.close()
    assert troubles == []
    assert [u for u in requests if not u.startswith((*inside, "data:", "blob:", "about:"))] == []


def state(tab):
    return tab.evaluate("window.otoscope.state()")


def wait(tab, condition, seconds=8.0):
    """Wait until a JavaScript condition on the state `s` holds (polled from here: the page's policy forbids eval)."""
    end = time.monotonic() + seconds
    while not tab.evaluate(f"(() => {{ const s = window.otoscope.state(); return {condition}; }})()"):
        assert time.monotonic() < end, f"{condition} never held: {state(tab)}"
        tab.wait_for_timeout(20)


def settle(tab):
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def pixels(tab, selector):
    """A canvas as (row, column, rgba)."""
    settle(tab)
    height, width, text = tab.evaluate(
        """(selector) => { const c = document.querySelector(selector);
        const bytes = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let text = '';
        for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
        return [c.height, c.width, btoa(text)]; }""",
        selector,
    )
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)


EAR = """const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode && this.context instanceof AudioContext) {
    window.ear ??= Object.assign(this.context.createAnalyser(), { fftSize: 16384 }); connect.call(this, window.ear); }
  return connect.call(this, to, ...rest); };"""


def heard(tab):
    """(level of the low tone, of the high tone): what comes out of the graph."""
    samples, rate = tab.evaluate(
        "(() => { const d = new Float32Array(16384); ear.getFloatTimeDomainData(d);"
        " return [Array.from(d), ear.context.sampleRate]; })()"
    )
    window = np.hanning(len(samples))
    power = 4 * np.abs(np.fft.rfft(samples * window)) ** 2 / len(samples) / np.sum(window**2)  # squared amplitudes
    hz = np.fft.rfftfreq(len(samples), 1 / rate)
    return tuple(float(np.sqrt(power[(hz > f - 100) & (hz < f + 100)].sum())) for f in (500, 6000))


# --- listening ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["disk", "site"])
def test_it_opens_silent_and_asks_only_for_what_it_shows(visit, where):
    tab = visit(where)
    s = state(tab)
    assert (s["clip"], s["name"], s["playing"], s["loaded"], s["error"]) == (0, "Original", False, False, None)
    assert s["shown"] == VERSIONS
    assert s["duration"] == pytest.approx(SECONDS)
    assert [a for a in tab.asked if a.endswith(".js")] == ["pictures-0.js"]
    assert tab.locator("audio").count() == 0


@pytest.mark.parametrize("where", ["disk", "site"])
def test_it_plays_and_switches_in_place(visit, where):
    tab = visit(where)
    tab.click("#play")
    wait(tab, "s.playing && s.time > 0.2")
    assert [a for a in tab.asked if a.endswith(".js")] == ["pictures-0.js", "sounds-0.js"]
    for key, name in (("3", VERSIONS[2]), ("5", VERSIONS[4]), ("1", VERSIONS[0])):
        before = state(tab)["time"]
        tab.keyboard.press(key)
        s = state(tab)
        assert (s["name"], s["playing"]) == (name, True)
        assert 0 <= s["time"] - before < 1.0
    drift = tab.evaluate(
        """async () => { otoscope.seek(0.5); const start = performance.now(), place = otoscope.state().time;
        for (const key of ['3', '5', '0', '7', '1']) {
          otoscope.select(key); await new Promise((d) => setTimeout(d, 80)); }
        return otoscope.state().time - place - (performance.now() - start) / 1000; }"""
    )
    assert abs(drift) < 0.05
    tab.keyboard.press("Space")
    assert not state(tab)["playing"]


@pytest.mark.parametrize("where", ["disk", "site"])
def test_what_is_heard_is_the_chosen_version(visit, where):
    """MN's reconstruction holds the low tone (0.2), DyMN's the high one (0.05)."""
    tab = visit(where, script=EAR)
    levels = {}
    for key in ("3", "5", "1"):
        tab.keyboard.press(key)
        tab.evaluate("otoscope.seek(0.2); otoscope.play()")
        wait(tab, "s.time > 1.2")
        levels[key] = heard(tab)
    assert levels["3"] == pytest.approx((0.2, 0.0), abs=0.01)
    assert levels["5"] == pytest.approx((0.0, 0.05), abs=0.005)
    assert levels["1"] == pytest.approx((0.2, 0.05), abs=0.01)


def test_matched_levels_are_equally_loud(visit):
    tab = visit(script=EAR)
    tab.keyboard.press("l")
    assert state(tab)["level"] == "matched"
    loud = []
    for key in ("1", "2", "5"):
        tab.keyboard.press(key)
        tab.evaluate("otoscope.seek(0.2); otoscope.play()")
        wait(tab, "s.time > 1.2")
        loud.append(np.hypot(*heard(tab)))
    assert loud[1] == pytest.approx(loud[0], rel=0.03)
    assert loud[2] == pytest.approx(loud[0], rel=0.03)
    assert "dB up" in tab.inner_text("#level-note")


def test_a_sound_that_was_turned_down_is_heard_as_it_was(visit, tmp_path):
    contents = made.contents_in(tmp_path, clips=1, seconds=SECONDS)
    for version in contents["clips"][0]["versions"]:
        if version["kind"] == "control":
            version["attenuated_db"] = 6.0206
    write_listening_page(tmp_path, contents)
    tab = visit(base=tmp_path, script=EAR)
    tab.keyboard.press("2")
    tab.evaluate("otoscope.seek(0.2); otoscope.play()")
    wait(tab, "s.time > 1.2")
    assert heard(tab) == pytest.approx((0.2, 0.05), abs=0.005)  # twice the file


def test_keys_choose_versions(visit):
    tab = visit()
    seen = []
    for key in ("3", "x", "x", "j", "k", "A", "K", "9", "x"):
        tab.keyboard.press(key)
        seen.append(state(tab)["name"])
    assert seen == [VERSIONS[i] for i in (2, 0, 2, 3, 2, 0, 5, 5, 0)]
    tab.keyboard.press("Control+3")
    assert state(tab)["name"] == "Original"


def test_a_reconstruction_and_its_difference_are_twins(visit):
    tab = visit()
    tab.keyboard.press("d")
    assert state(tab)["name"] == "Original"
    tab.keyboard.press("4")
    tab.keyboard.press("d")
    assert state(tab)["name"] == "MN, difference, random weights"
    assert len(state(tab)["shown"]) == 10
    assert tab.is_checked("input[name=show][value=both]")
    tab.keyboard.press("d")
    assert state(tab)["name"] == VERSIONS[3]


def test_filters(visit):
    tab = visit()
    tab.keyboard.press("5")
    tab.check("input[name=network][value='0']")
    assert state(tab)["shown"] == VERSIONS[:4]
    assert state(tab)["name"] == "Original"  # DyMN's is not shown any more
    tab.check("input[name=start][value='1']")
    assert state(tab)["shown"] == [*VERSIONS[:2], VERSIONS[3]]
    tab.check("input[name=show][value=difference]")
    assert state(tab)["shown"] == [*VERSIONS[:2], "MN, difference, random weights"]
    tab.keyboard.press("3")
    assert state(tab)["kind"] == "difference"
    visible = tab.locator(".version:visible")
    assert visible.count() == 3
    assert visible.nth(2).locator("kbd").inner_text() == "3"
    assert tab.inner_text("#status").startswith("MN, difference")


def test_clips_change_by_list_button_key_and_address(visit):
    tab = visit(after="#clip-2")
    assert state(tab)["clip"] == 1
    tab.click("#next")
    wait(tab, "s.clip === 2")
    assert tab.is_disabled("#next")
    assert tab.inner_text("#count") == "3 of 3"
    tab.keyboard.press("p")
    tab.keyboard.press("p")
    wait(tab, "s.clip === 0")
    assert tab.is_disabled("#previous")
    tab.select_option("#clip", "2")
    wait(tab, "s.clip === 2")
    assert tab.url.endswith("#clip-3")
    tab.evaluate("location.hash = '#clip-1'")
    wait(tab, "s.clip === 0")
    tab.evaluate("location.hash = '#clip-99'")
    wait(tab, "s.clip === 2")


def test_the_next_clip_goes_on_with_the_same_version_and_level(visit):
    tab = visit(script=EAR)
    for key in ("5", "l", "r", "Space"):
        tab.keyboard.press(key)
    wait(tab, "s.playing && s.time > 0.1")
    tab.keyboard.press("n")
    wait(tab, "s.clip === 1 && s.playing && s.time > 0.8")
    s = state(tab)
    assert (s["name"], s["level"], s["loop"]) == (VERSIONS[4], "matched", True)
    assert heard(tab)[1] > 0.03  # one clip sounds, and it is this one
    tab.keyboard.press("Space")
    tab.wait_for_timeout(700)
    assert max(heard(tab)) < 1e-4


def test_a_card_plays_and_a_picture_seeks(visit):
    tab = visit()
    tab.click("[role=radio][data-key='0']")
    wait(tab, "s.playing && s.time > 0.05")
    tab.click("[role=radio][data-key='0']")
    assert not state(tab)["playing"]
    thumb = tab.locator(".version:visible .thumb").nth(2)
    thumb.scroll_into_view_if_needed()
    box = thumb.bounding_box()
    tab.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 20)
    s = state(tab)
    assert (s["name"], s["time"]) == (VERSIONS[2], pytest.approx(SECONDS / 2, abs=0.05))


def test_it_stops_at_the_end(visit):
    tab = visit()
    tab.evaluate(f"otoscope.seek({SECONDS - 0.2}); otoscope.play()")
    wait(tab, f"!s.playing && s.time >= {SECONDS - 0.001}")


# --- looking --------------------------------------------------------------------------------------------------------


def test_large_and_small_pictures_show_the_tone_of_their_version(visit):
    tab = visit()
    tab.check("input[name=axis][value=linear]")
    for place, hz in ((2, 500), (4, 6000)):
        tab.keyboard.press(str(place + 1))
        key = state(tab)["sound"]
        for selector in ("#picture", f".thumb[data-key='{key}'] canvas"):
            light = pixels(tab, selector)[..., :3].astype(float).sum(-1)
            row = np.argmax(light[:, light.shape[1] // 2])
            assert 16000 * (1 - (row + 0.5) / light.shape[0]) == pytest.approx(hz, abs=16000 / light.shape[0] + 100)


def test_small_pictures_are_drawn_when_they_come_into_sight(visit):
    tab = visit(viewport={"width": 400, "height": 700})
    settle(tab)
    last = tab.locator(".version:visible .thumb").last
    assert last.get_attribute("data-look") is None
    last.scroll_into_view_if_needed()
    tab.wait_for_timeout(150)
    assert last.get_attribute("data-look").startswith("mel ")
    assert tab.locator(".version:not(:visible) .thumb[data-look]").count() == 0


def test_right_and_wrong_differ_in_word_and_form(visit):
    tab = visit(after="#clip-2")  # its label is rain; all but one answer are dog
    control = tab.locator(".version.control .said tr")
    assert control.nth(0).locator(".mark").inner_text() == "wrong"
    assert control.nth(1).locator(".mark").inner_text() == "right"
    assert control.nth(0).locator("use").get_attribute("href") == "#icon-poor"
    assert control.nth(1).locator("use").get_attribute("href") == "#icon-good"
    assert "90" in control.nth(0).inner_text()
    assert "12.3 dB" in tab.locator(".version.control").inner_text()
    own = tab.locator(".version.reconstruction .chip")
    assert own.count() == 4
    row = tab.locator(".version.reconstruction:visible").nth(2).locator("tr", has=tab.locator(".chip"))
    assert row.locator("th bdi").inner_text() == "DyMN"


def test_the_pointer_reads_the_picture(visit):
    tab = visit()
    tab.check("input[name=axis][value=linear]")
    box = tab.locator("#screen").bounding_box()
    tab.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.75 * box["height"])
    parts = tab.locator("#readout span").all_inner_texts()
    assert len(parts) == 3
    assert float(parts[0].removesuffix(" s")) == pytest.approx(1.5, abs=0.01)
    assert float(parts[1].removesuffix(" kHz")) == pytest.approx(4.0, abs=0.1)


# --- by keyboard, by ear, in the dark, on a phone -------------------------------------------------------------------


def test_every_control_has_a_name_and_the_roles_are_right(visit):
    tab = visit()
    nameless = tab.evaluate(
        """[...document.querySelectorAll('button, input, select, a, table, [role=slider], [role=img]')].filter((e) => {
        const words = e.getAttribute('aria-label') || e.textContent || [...(e.labels ?? [])].map((l) => l.textContent).join('');
        return !words.trim(); }).map((e) => e.outerHTML)"""
    )
    assert nameless == []
    group = tab.get_by_role("radiogroup", name="Version to listen to")
    assert group.get_by_role("radio").count() == 6
    tab.keyboard.press("3")
    assert group.get_by_role("radio", name=VERSIONS[2], exact=True).get_attribute("aria-checked") == "true"
    assert group.get_by_role("radio", checked=True).count() == 1
    assert tab.inner_text("#status") == VERSIONS[2]
    assert tab.get_by_role("combobox", name="Clip").count() == 1
    assert tab.get_by_role("group", name="Network").get_by_role("radio", name="DyMN").count() == 1
    assert tab.get_by_role("table", name=f"Predictions of the networks for {VERSIONS[2]}", exact=True).count() == 1
    assert tab.get_by_role("heading", level=1).count() == 1
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_keyboard_only(visit):
    tab = visit()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")  # skip to the sounds
    assert tab.evaluate("document.activeElement.dataset.key") == "0"
    tab.keyboard.press("ArrowRight")
    assert state(tab)["name"] == VERSIONS[1]
    for _ in range(5):
        tab.keyboard.press("ArrowDown")
    assert state(tab)["name"] == "Original"  # round, past those that are not shown
    tab.keyboard.press("Space")
    wait(tab, "s.playing")
    tab.focus("#clip")
    tab.keyboard.press("n")
    assert state(tab)["clip"] == 0  # there letters belong to the list
    tab.keyboard.press("ArrowDown")
    wait(tab, "s.clip === 1")
    tab.keyboard.press("?")
    assert tab.is_hidden("#help")
    tab.focus("#play")
    tab.keyboard.press("?")
    assert tab.is_visible("#help")


def contrast(tab, selector):
    """Contrast ratio of an element's text against the first opaque ground behind it."""
    front, back = tab.evaluate(
        """(selector) => { let e = document.querySelector(selector); const front = getComputedStyle(e).color; let back;
        do { back = getComputedStyle(e).backgroundColor; e = e.parentElement; } while (e && /, 0\\)$/.test(back));
        return [front, back].map((c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number)); }""",
        selector,
    )

    def light(rgb):
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pair = sorted((light(front), light(back)))
    return (pair[1] + 0.05) / (pair[0] + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_light_and_dark(visit, scheme):
    tab = visit(after="#clip-2", color_scheme=scheme)
    assert state(tab)["theme"] == scheme
    tab.keyboard.press("3")
    words = ("h1", ".verdict p", ".networks span", "#count", "#clip", ".filters legend", ".filters span", ".note")
    cards = (
        ".chosen .what",
        ".version.control .what",
        ".measure",
        ".said th",
        ".said .label",
        ".said .p",
        ".said .chip",
    )
    for selector in (*words, *cards):
        assert contrast(tab, selector) >= 4.5, selector
    for selector in (".said .right .icon", ".said .wrong .icon"):
        assert contrast(tab, selector) >= 3, selector
    tab.click("#theme")
    assert state(tab)["theme"] != scheme


@pytest.mark.parametrize("width", [360, 400, 768, 1280])
def test_no_sideways_scroll(visit, tmp_path, width):
    contents = made.contents_in(tmp_path, clips=1, seconds=0.2)
    contents["title"] = "What networks like to hear, with a title that is rather long"
    contents["networks"][0]["title"] = "DyMN without coordinate attention"
    contents["starts"][0]["title"] = "pretrainedwithoutanyspacesatallinoneword"
    for version in contents["clips"][0]["versions"]:
        version["said"] = made.said("hand_saw_or_some_other_long_label", "washing machine")
    write_listening_page(tmp_path, contents)
    tab = visit(base=tmp_path, viewport={"width": width, "height": 850})
    tab.check("input[name=show][value=both]")
    tab.keyboard.press("l")
    tab.keyboard.press("3")
    settle(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    beyond = tab.evaluate(
        "[...document.querySelectorAll('button, select, .segmented span, #screen, #rms, td, th, .measure, .legend')]"
        ".filter((e) => { const b = e.getBoundingClientRect();"
        " return b.width && (b.right > innerWidth + 1 || b.left < -1); }).map((e) => e.outerHTML.slice(0, 90))"
    )
    assert beyond == []


def test_play_stays_in_sight_among_the_versions(visit):
    tab = visit(viewport={"width": 400, "height": 850})
    tab.keyboard.press("6")
    tab.locator(".version:visible").last.scroll_into_view_if_needed()
    settle(tab)
    assert 0 <= tab.locator("#play").bounding_box()["y"] < 100


# --- what may go wrong ----------------------------------------------------------------------------------------------


def broken(folder, tmp_path, change):
    copied = tmp_path / "broken"
    shutil.copytree(folder, copied)
    change(copied / "page")
    return copied


def test_without_its_pictures_a_clip_still_plays(visit, folder, tmp_path):
    base = broken(folder, tmp_path, lambda page: (page / "pictures-0.js").unlink())
    tab = visit(base=base, allow=("ERR_FILE_NOT_FOUND",))
    assert "pictures of this clip could not be opened: page/pictures-0.js" in tab.inner_text("#failure")
    tab.keyboard.press("Space")
    wait(tab, "s.playing && s.time > 0.1")
    tab.keyboard.press("n")
    wait(tab, "s.clip === 1 && s.error === null")
    assert tab.is_hidden("#failure")


def test_without_its_sounds_a_clip_can_be_looked_at(visit, folder, tmp_path):
    base = broken(folder, tmp_path, lambda page: (page / "sounds-0.js").unlink())
    tab = visit(base=base, allow=("ERR_FILE_NOT_FOUND",))
    tab.keyboard.press("Space")
    wait(tab, "s.error !== null")
    assert "sounds of this clip could not be opened: page/sounds-0.js" in tab.inner_text("#failure")
    assert tab.is_disabled("#play")
    tab.keyboard.press("3")
    assert state(tab)["name"] == VERSIONS[2]
    tab.keyboard.press("n")
    wait(tab, "s.clip === 1 && s.error === null")
    assert tab.is_enabled("#play")


def test_a_sound_that_cannot_be_decoded_is_said_in_words(visit, folder, tmp_path):
    def spoil(page):
        text = (page / "sounds-0.js").read_text()
        (page / "sounds-0.js").write_text(re.sub(r'"[^"]+"', '"bm8gc291bmQ="', text, count=1))

    tab = visit(base=broken(folder, tmp_path, spoil))
    tab.keyboard.press("Space")
    wait(tab, "s.error !== null")
    assert "cannot decode the sound “Original” (audio/flac)" in tab.inner_text("#failure")


def test_hostile_names_do_nothing(visit, tmp_path):
    contents = made.contents_in(tmp_path, clips=1, seconds=0.2)
    contents["title"] = contents["intro"] = made.HOSTILE
    for entry in (*contents["networks"], *contents["starts"]):
        entry["title"] = made.HOSTILE
    for clip in contents["clips"]:
        clip["file"] = clip["label"] = made.HOSTILE
        for version in clip["versions"]:
            version["said"] = made.said(made.HOSTILE, made.HOSTILE)
    write_listening_page(tmp_path, contents)
    tab = visit(base=tmp_path)
    tab.keyboard.press("3")
    tab.wait_for_timeout(100)
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("img").count() == 0
    assert "<script>window.hacked" in tab.locator(".said .label").first.inner_text()


def test_the_policy_stops_what_would_ask_outside(visit):
    tab = visit(allow=("Content Security Policy", "content security policy"))
    blocked = tab.evaluate(
        """async () => { const seen = [];
        document.addEventListener('securitypolicyviolation', (e) => seen.push(e.effectiveDirective));
        const image = new Image(); image.src = 'https://example.invalid/x.png'; document.body.append(image);
        document.body.insertAdjacentHTML('beforeend', '<b id=b onclick="window.hacked = 1"></b>');
        document.getElementById('b').click();
        try { await fetch('https://example.invalid/'); } catch (error) { /* wanted */ }
        await new Promise((d) => setTimeout(d, 100)); return seen; }"""
    )
    assert {"img-src", "connect-src", "script-src-attr"} <= set(blocked)
    assert tab.evaluate("window.hacked") is None


def test_a_hundred_clips_hold_no_more_than_one(visit, tmp_path):
    one = made.contents_in(tmp_path, clips=1, seconds=0.2)
    many = copy.deepcopy(one)
    many["clips"] = [clip | {"file": f"{place}.wav"} for place, clip in enumerate(one["clips"] * 100)]
    write_listening_page(tmp_path, many)
    tab = visit(base=tmp_path)
    assert tab.locator("#clip option").count() == 100
    assert tab.evaluate("document.querySelectorAll('*').length") < 1000
    tab.evaluate("otoscope.open(99)")
    wait(tab, "s.clip === 99")
    assert [a for a in tab.asked if a.endswith(".js")] == ["pictures-0.js", "pictures-99.js"]
    for place in range(5):
        tab.evaluate(f"otoscope.open({place}).then(() => otoscope.play())")
        wait(tab, f"s.clip === {place} && s.loaded")
    assert len(state(tab)["sound_parts"]) == 3  # older ones are let go
