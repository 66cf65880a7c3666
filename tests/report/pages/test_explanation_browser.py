"""The page in a real browser: it plays, switches, seeks and draws, by pointer and by keys, and asks for nothing."""

import base64
import dataclasses
import html
import importlib.util
import math
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from otoscope.report.pages.explanation import render


def _sibling(name):
    spec = importlib.util.spec_from_file_location(f"report_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


made = _sibling("test_explanation")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Pages of the same scene: embedded, warned, linked, broken."""
    folder = tmp_path_factory.mktemp("report")
    page = made.sample(seconds=5.0)
    (folder / "report.html").write_text(render(page), encoding="utf-8")
    poor = dataclasses.replace(page, trust="poor", warnings=("The kept sound scores below half of the original.",))
    (folder / "poor.html").write_text(render(poor), encoding="utf-8")
    for name, samples in zip(("original", "kept", "removed"), made.scene(5.0)):
        soundfile.write(folder / f"a #1 {name}.wav", samples, made.RATE, subtype="FLOAT")

    def linked(prefix):
        sounds = tuple(dataclasses.replace(s, audio=None, href=f"{prefix} {s.key}.wav") for s in page.sounds)
        return render(dataclasses.replace(page, sounds=sounds))

    (folder / "linked.html").write_text(linked("a #1"), encoding="utf-8")
    (folder / "lost.html").write_text(linked("gone"), encoding="utf-8")
    broken = tuple(dataclasses.replace(s, audio=b"this is no sound") for s in page.sounds)
    lanes = dataclasses.replace(
        page,
        attribution=np.array([[0.8], [-0.4], [0.0]], np.float32),
        mask=np.array([[1.0], [0.0], [0.5]], np.float32),
        frequencies=np.array([1.0, 2.0, 3.0]),
        times=np.array([2.5]),
        rows=("NMF 1 (around 300 Hz)", "<b>percussive</b>", "residual"),
    )
    (folder / "lanes.html").write_text(render(lanes), encoding="utf-8")
    (folder / "broken.html").write_text(render(dataclasses.replace(page, sounds=broken)), encoding="utf-8")
    return folder


@pytest.fixture
def visit(browser, folder):
    """Open a page; at the end nothing may have been logged as an error or asked for from outside."""
    contexts, logged, troubles, requests = [], [], [], []

    def visit(name="report.html", allow=(), url=None, **options):
        allow = (*allow, "willReadFrequently")  # about `pixels` below
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        tab.on("console", lambda m: logged.append(m) if not any(a in m.text for a in allow) else None)
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("request", lambda r: requests.append(r.url))
        tab.on("requestfailed", lambda r: requests.remove(r.url) if r.failure == "csp" else None)  # stopped here
        tab.goto(url or (folder / name).as_uri())
        if not url:
            tab.evaluate("window.otoscope.ready")
            tab.wait_for_timeout(60)
        return tab

    yield visit
    for context in contexts:
        context.close()
    troubles += [m.text for m in logged if m.type in ("error", "warning")]
    assert troubles == []
    assert [u for u in requests if not u.startswith((folder.as_uri(), "data:", "blob:", "about:"))] == []


def state(tab):
    return tab.evaluate("window.otoscope.state()")


def wait(tab, condition, seconds=5.0):
    """Wait until a JavaScript condition on the state `s` holds (polled from here: the page's policy forbids eval)."""
    end = time.monotonic() + seconds
    while not tab.evaluate(f"(() => {{ const s = window.otoscope.state(); return {condition}; }})()"):
        assert time.monotonic() < end, f"{condition} never held: {state(tab)}"
        tab.wait_for_timeout(20)


def settle(tab):
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def pixels(tab, canvas="picture"):
    """The canvas as (row, column, rgba)."""
    settle(tab)
    height, width, text = tab.evaluate(
        """(id) => { const c = document.getElementById(id);
        const bytes = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let text = '';
        for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
        return [c.height, c.width, btoa(text)]; }""",
        canvas,
    )
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)


def differ(a, b):
    return float(np.mean(np.any(a != b, axis=-1)))


# --- listening ------------------------------------------------------------------------------------------------------


def test_it_loads_and_is_silent_at_first(visit):
    s = state(visit())
    expected = {
        "sound": "original",
        "playing": False,
        "loaded": True,
        "level": "true",
        "mode": "embedded",
        "error": None,
    }
    assert {name: s[name] for name in expected} == expected
    assert s["duration"] == pytest.approx(5.0)


@pytest.mark.parametrize("name", ["report.html", "linked.html"])
def test_time_runs_while_it_plays_and_stands_while_it_pauses(visit, name):
    tab = visit(name)
    tab.click("#play")
    wait(tab, "s.time > 0.15")
    assert state(tab)["playing"]
    assert tab.get_attribute("#play", "aria-label") == "Pause"
    tab.click("#play")
    stood = state(tab)
    assert not stood["playing"]
    assert stood["time"] > 0.15
    tab.wait_for_timeout(120)
    assert state(tab)["time"] == stood["time"]


@pytest.mark.parametrize("name", ["report.html", "linked.html"])
def test_switching_keeps_the_place(visit, name):
    tab = visit(name)
    tab.evaluate("window.otoscope.seek(1.5)")
    tab.keyboard.press("Space")
    wait(tab, "s.time > 1.6")
    for key in ("kept", "removed", "original", "kept"):
        before, after, passed = tab.evaluate(
            """(key) => { const t = otoscope.state().time, now = performance.now(); otoscope.select(key);
            return [t, otoscope.state().time, (performance.now() - now) / 1000]; }""",
            key,
        )
        assert abs(after - before) < 0.05 + passed  # the sound goes on while a busy machine switches
        wait(tab, f"s.sound === '{key}' && s.time > {after} && s.playing")
        assert tab.get_attribute(f"[data-key={key}]", "aria-checked") == "true"


def test_the_three_sources_stay_in_step_for_the_whole_switch(visit):
    tab = visit()
    tab.evaluate("otoscope.play()")
    wait(tab, "s.time > 0.2")
    drift = tab.evaluate(
        """async () => { const start = performance.now(), place = otoscope.state().time;
        for (const key of ['kept', 'removed', 'original', 'kept', 'original']) {
          otoscope.select(key); await new Promise((d) => setTimeout(d, 80)); }
        return otoscope.state().time - place - (performance.now() - start) / 1000; }"""
    )
    assert abs(drift) < 0.05


def test_keys_choose_the_sound(visit):
    tab = visit()
    for key, sound in (("b", "kept"), ("C", "removed"), ("a", "original")):
        tab.keyboard.press(key)
        assert state(tab)["sound"] == sound
    tab.keyboard.press("Control+b")
    assert state(tab)["sound"] == "original"


def test_a_listening_button_selects_and_plays_and_pauses(visit):
    tab = visit()
    tab.click("[data-key=kept]")
    wait(tab, "s.sound === 'kept' && s.playing && s.time > 0.05")
    tab.click("[data-key=removed]")
    assert (state(tab)["sound"], state(tab)["playing"]) == ("removed", True)
    tab.click("[data-key=removed]")
    assert not state(tab)["playing"]
    tab.keyboard.press("ArrowRight")  # after a click the arrows still seek
    assert state(tab)["sound"] == "removed"
    tab.keyboard.press("Space")
    assert state(tab)["playing"]


def test_keys_seek(visit):
    tab = visit()
    places = []
    for key in ("ArrowRight", "Shift+ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "ArrowLeft"):
        tab.keyboard.press(key)
        places.append(state(tab)["time"])
    assert places == pytest.approx([0.25, 1.25, 1.0, 5.0, 5.0, 0.0, 0.0])
    assert tab.get_attribute("#seek", "aria-valuetext") == "0.00 of 5.00 seconds"


@pytest.mark.parametrize("where", ["#screen", "#seek"])
def test_click_and_drag_seek(visit, where):
    tab = visit()
    box = tab.locator(where).bounding_box()
    y = box["y"] + box["height"] / 2
    tab.mouse.click(box["x"] + 0.4 * box["width"], y)
    assert state(tab)["time"] == pytest.approx(2.0, abs=0.02)
    tab.mouse.move(box["x"] + 0.5 * box["width"], y)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.8 * box["width"], y, steps=4)
    tab.mouse.up()
    assert state(tab)["time"] == pytest.approx(4.0, abs=0.02)
    head, screen = tab.locator("#head").bounding_box(), tab.locator("#screen").bounding_box()
    assert head["x"] - screen["x"] == pytest.approx(0.8 * screen["width"], abs=2)


def test_seeking_while_it_plays_goes_on_from_there(visit):
    tab = visit()
    tab.evaluate("otoscope.play()")
    wait(tab, "s.time > 0.1")
    tab.evaluate("otoscope.seek(3)")
    wait(tab, "s.time > 3.1 && s.time < 3.9 && s.playing")


@pytest.mark.parametrize("name", ["report.html", "linked.html"])
def test_it_stops_at_the_end_and_starts_again(visit, name):
    tab = visit(name)
    tab.evaluate("otoscope.seek(4.8); otoscope.play()")
    wait(tab, "!s.playing")
    assert state(tab)["time"] == pytest.approx(5.0)
    tab.keyboard.press("Space")
    wait(tab, "s.playing && s.time > 0.02 && s.time < 2")


@pytest.mark.parametrize("name", ["report.html", "linked.html"])
def test_a_loop_goes_round(visit, name):
    tab = visit(name)
    tab.click("#loop")
    assert tab.get_attribute("#loop", "aria-pressed") == "true"
    tab.evaluate("otoscope.seek(4.8); otoscope.play()")
    wait(tab, "s.time < 1 && s.time > 0.05")
    assert state(tab)["playing"]
    tab.keyboard.press("r")
    assert not state(tab)["loop"]
    assert state(tab)["time"] < 2


def test_matched_levels_bring_every_sound_to_the_original(visit):
    tab = visit()
    assert state(tab)["gains"] == {"original": 1, "kept": 1, "removed": 1}
    tab.check("input[name=level][value=matched]")
    s = state(tab)
    assert s["level"] == "matched"
    parts = dict(zip(("original", "kept", "removed"), made.scene(5.0)))
    level = {k: np.sqrt(np.mean(np.square(v))) * s["gains"][k] for k, v in parts.items()}
    assert level["kept"] == pytest.approx(level["original"], rel=1e-3)
    assert level["removed"] == pytest.approx(level["original"], rel=1e-3)
    peaks = [np.abs(v).max() * s["gains"][k] for k, v in parts.items()]
    assert max(peaks) <= 1.0 + 1e-3
    tab.keyboard.press("b")
    assert "dB up, all three" in tab.inner_text("#level-note")
    tab.keyboard.press("l")
    assert (state(tab)["level"], state(tab)["gains"]["kept"]) == ("true", 1)
    assert tab.is_checked("input[name=level][value=true]")


def test_what_is_heard_is_the_chosen_sound_at_its_gain(visit, folder):
    """Listen at the end of the graph: the level that comes out is the chosen sound's, in true and in matched levels."""
    tab = visit(url="about:blank")
    tab.add_init_script(
        """const connect = AudioNode.prototype.connect;
        AudioNode.prototype.connect = function (to, ...rest) {
          if (to instanceof AudioDestinationNode && this.context instanceof AudioContext) {
            window.ear = this.context.createAnalyser(); window.ear.fftSize = 16384; connect.call(this, window.ear); }
          return connect.call(this, to, ...rest); };"""
    )
    tab.goto((folder / "report.html").as_uri())
    tab.evaluate("window.otoscope.ready")

    def low(samples, rate):
        """Level below 1 kHz, where the rain is and the ticks are not: it does not depend on where a tick falls."""
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
        return float(np.sqrt(power[np.fft.rfftfreq(len(samples), 1 / rate) < 1000].sum() * 16 / 3) / len(samples))

    def heard(key, at=1.9):
        """(what came out, the rain at that time): levels below 1 kHz."""
        tab.keyboard.press("a")
        tab.evaluate(f"otoscope.seek({at}); otoscope.play()")
        wait(tab, f"s.time > {at + 0.1}")
        tab.keyboard.press(key)
        wait(tab, f"s.time > {at + 0.9}")
        samples, rate, now = tab.evaluate(
            "(() => { const d = new Float32Array(16384); ear.getFloatTimeDomainData(d);"
            " return [Array.from(d), ear.context.sampleRate, otoscope.state().time]; })()"
        )
        tab.evaluate("otoscope.pause()")
        rain = made.scene(5.0)[2][int((now - len(samples) / rate) * made.RATE) : int(now * made.RATE)]
        return low(np.array(samples), rate), low(rain, made.RATE)

    out, rain = heard("c")
    assert out == pytest.approx(rain, rel=0.2)
    out, rain = heard("a")
    assert out == pytest.approx(rain, rel=0.2)
    out, rain = heard("b")
    assert out < 0.1 * rain
    tab.keyboard.press("l")
    out, rain = heard("c")
    assert state(tab)["gains"]["removed"] < 0.85
    assert out == pytest.approx(rain * state(tab)["gains"]["removed"], rel=0.15)


def test_of_linked_sounds_only_the_chosen_one_plays(visit, folder):
    tab = visit(url="about:blank")
    tab.add_init_script(
        "window.all = []; const Old = Audio;window.Audio = function () { const a = new Old(); all.push(a); return a; };"
    )
    tab.goto((folder / "linked.html").as_uri())
    tab.evaluate("window.otoscope.ready")
    assert tab.evaluate("all.map((a) => a.preload)") == ["metadata"] * 3
    tab.evaluate("otoscope.play()")
    for key, expected in (("b", [True, False, True]), ("c", [True, True, False]), ("a", [False, True, True])):
        tab.keyboard.press(key)
        tab.wait_for_function(
            "wanted => all.every((a, i) => a.paused === wanted[i])", arg=expected
        )  # as soon as it is so
    tab.keyboard.press("l")
    gains = state(tab)["gains"]
    volume = tab.evaluate("all[0].volume")
    assert volume == pytest.approx(gains["original"] / max(1, *gains.values()), rel=1e-3)
    tab.keyboard.press("Space")
    assert tab.evaluate("all.every((a) => a.paused)")


def test_a_sound_that_cannot_be_decoded_is_said_in_words(visit):
    tab = visit("broken.html")
    words = tab.inner_text("#failure")
    assert re.search(r"cannot decode the sound “(Original|Kept|Removed)” \(audio/flac\)", words)  # whichever came first
    assert state(tab)["error"] == words
    assert tab.is_disabled("#play")
    tab.keyboard.press("b")
    assert state(tab)["sound"] == "kept"  # looking still works


def test_a_linked_sound_that_is_not_there_is_said_in_words(visit):
    tab = visit("lost.html", allow=("ERR_FILE_NOT_FOUND",))
    assert "could not be opened: ./gone" in tab.inner_text("#failure")


# --- looking --------------------------------------------------------------------------------------------------------


def test_the_spectrogram_shows_the_ticks_where_they_are(visit):
    tab = visit()
    tab.keyboard.press("b")
    tab.check("input[name=axis][value=linear]")
    light = pixels(tab)[..., :3].astype(float).sum(-1)
    height, width = light.shape
    column = light[:, int(0.36 / 5 * width)]  # the first tick rings at 2300, 3900 and 6200 Hz
    brightest = 16000 * (1 - (np.argmax(column) + 0.5) / height)
    assert brightest == pytest.approx(2300, abs=120)
    assert light[:, int(0.2 / 5 * width)].mean() < 0.2 * column.mean()


def test_axes_redraw_picture_and_ticks(visit):
    tab = visit()
    seen = {}
    for name in ("linear", "log", "mel"):
        tab.check(f"input[name=axis][value={name}]")
        seen[name] = (pixels(tab), tab.locator("#hz span").all_inner_texts())
    for a, b in (("linear", "log"), ("log", "mel"), ("mel", "linear")):
        assert differ(seen[a][0], seen[b][0]) > 0.5
    assert seen["linear"][1] == ["0 Hz", "5 kHz", "10 kHz", "15 kHz"]
    assert {"100 Hz", "1 kHz", "10 kHz"} <= set(seen["log"][1])
    assert {"0 Hz", "1 kHz", "4 kHz", "16 kHz"} <= set(seen["mel"][1])


def test_named_rows_are_lanes_with_their_names_and_no_hertz(visit):
    tab = visit("lanes.html")
    ticks = "[...document.querySelectorAll('#hz span')].map((s) => s.textContent)"
    assert any("kHz" in t for t in tab.evaluate(ticks))
    tab.check("input[name=overlay][value=attribution]")
    seen = pixels(tab)
    assert tab.evaluate(ticks) == []
    height, middle = seen.shape[0], seen.shape[1] * 3 // 4
    low, mid, top = (seen[round(height * share), middle, :3].astype(int) for share in (5 / 6, 1 / 2, 1 / 6))
    assert low[0] > 200 > low[2]  # for: orange
    assert mid[2] > mid[0] + 40  # against: blue
    np.testing.assert_array_equal(top, [14, 17, 22])
    label = tab.get_attribute("#picture", "aria-label")
    assert label.endswith("NMF 1 (around 300 Hz)   +0.8, <b>percussive</b>   \u22120.4, residual   0")
    box = tab.locator("#screen").bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown = tab.locator("#readout").inner_text()
    assert "<b>percussive</b>" in shown
    assert "attribution \u22120.4" in shown
    assert "Hz" not in shown
    tab.check("input[name=overlay][value=mask]")
    assert differ(pixels(tab), seen) > 0.5
    assert "residual   0.50" in tab.get_attribute("#picture", "aria-label")
    tab.check("input[name=overlay][value=none]")
    tab.mouse.move(box["x"] + 40, box["y"] + 40)
    assert "kHz" in tab.locator("#readout").inner_text()
    assert tab.is_hidden("#opacity")


def test_overlays_and_opacity_change_the_picture(visit):
    tab = visit()
    bare = pixels(tab)
    tab.check("input[name=overlay][value=attribution]")
    assert differ(bare, pixels(tab)) > 0.9  # the legends come with the next picture
    assert tab.is_visible("#legend-attribution")
    tab.check("input[name=overlay][value=mask]")
    masked = pixels(tab)
    assert tab.is_visible("#legend-mask")
    assert tab.is_hidden("#legend-attribution")
    assert masked[..., :3].mean() < 0.5 * bare[..., :3].mean()
    tab.fill("#opacity", "20")
    fainter = pixels(tab)
    assert masked[..., :3].mean() < fainter[..., :3].mean() < bare[..., :3].mean()
    tab.fill("#opacity", "0")
    assert differ(bare, pixels(tab)) == 0
    assert tab.inner_text("#opacity-now") == "0\u00a0%"


def test_attribution_colours_are_signed(visit):
    tab = visit()
    tab.check("input[name=overlay][value=attribution]")
    tab.check("input[name=axis][value=linear]")
    tab.fill("#opacity", "100")
    image = pixels(tab)[..., :3].astype(int)
    height, width = image.shape[:2]
    rows = {hz: int((1 - hz / 16000) * height) for hz in (200, 400, 3600, 4200)}
    # the first tick rings at 3900 Hz
    tick = image[rows[4200] : rows[3600], int(0.34 / 5 * width) : int(0.4 / 5 * width)]
    assert (tick[..., 0] - tick[..., 2]).max() > 100  # warm: for
    rain = image[rows[400] : rows[200], int(0.1 / 5 * width) : int(0.25 / 5 * width)].mean((0, 1))
    assert rain[2] > rain[0] + 5  # cool: against


def test_the_waveform_follows_the_sound(visit):
    tab = visit()
    before = pixels(tab, "wave")
    tab.keyboard.press("b")
    assert differ(before, pixels(tab, "wave")) > 0.05


def test_the_pointer_reads_the_picture(visit):
    tab = visit()
    tab.check("input[name=axis][value=linear]")
    box = tab.locator("#screen").bounding_box()
    tab.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.75 * box["height"])
    parts = tab.locator("#readout span").all_inner_texts()
    assert len(parts) == 5
    assert float(parts[0].removesuffix(" s")) == pytest.approx(1.0, abs=0.01)
    assert float(parts[1].removesuffix(" kHz")) == pytest.approx(4.0, abs=0.1)
    assert parts[2].endswith(" dB")
    assert parts[3].startswith("attribution ")
    assert parts[4].startswith("mask ")


def test_canvases_have_the_density_of_the_screen(visit):
    tab = visit(device_scale_factor=2)
    wide, shown = tab.evaluate(
        "(() => { const c = document.getElementById('picture'); return [c.width, c.clientWidth]; })()"
    )
    assert wide == pytest.approx(2 * shown, abs=1)


def test_one_band_covers_the_full_height(visit, folder):
    page = made.sample(1.0)
    mask = np.linspace(0, 1, 125, dtype=np.float32)[None]
    page = dataclasses.replace(page, attribution=mask - 0.5, mask=mask, frequencies=np.array([8000.0]), duration=1.0)
    (folder / "band.html").write_text(render(page), encoding="utf-8")
    tab = visit("band.html")
    tab.check("input[name=overlay][value=mask]")
    tab.fill("#opacity", "100")
    light = pixels(tab)[..., :3].sum(-1).astype(float)
    half = light.shape[0] // 2
    for rows in (light[:half], light[half:]):
        assert rows[:, : light.shape[1] // 8].mean() < 0.5 * rows[:, -light.shape[1] // 8 :].mean()


@pytest.mark.parametrize("seconds", [1 / 32000, 0.1, 1.0])
def test_short_and_silent_sounds_are_shown(visit, folder, seconds):
    silent = np.zeros(max(1, int(seconds * made.RATE)), np.float32)
    sounds = tuple(made.sound(k, silent, silent, ()) for k in ("original", "kept", "removed"))
    flat = np.zeros((1, 1), np.float32)
    page = dataclasses.replace(
        made.sample(1.0),
        sounds=sounds,
        duration=silent.size / made.RATE,
        attribution=flat,
        mask=flat,
        frequencies=np.array([8000.0]),
        times=np.array([seconds / 2]),
        heard={"original": math.nan},
        scores={},
    )
    (folder / "short.html").write_text(render(page), encoding="utf-8")
    tab = visit("short.html")
    for overlay in ("mask", "attribution"):
        tab.check(f"input[name=overlay][value={overlay}]")
        settle(tab)
    assert tab.inner_text("#rms") == "silent"
    tab.evaluate("otoscope.play()")
    wait(tab, "!s.playing && s.error === null")


# --- by keyboard, by ear, in the dark, on a phone -------------------------------------------------------------------


def test_keyboard_only(visit):
    """From the top of the page: skip link, sounds by arrows, play, slider, overlay, all without a pointer."""
    tab = visit()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the sounds"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.dataset.key") == "original"
    tab.keyboard.press("ArrowRight")
    assert state(tab)["sound"] == "kept"
    assert tab.evaluate("document.activeElement.dataset.key") == "kept"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "play"
    tab.keyboard.press("Enter")
    wait(tab, "s.playing && s.time > 0.05")
    tab.keyboard.press("Space")
    assert not state(tab)["playing"]
    reached = []
    for _ in range(8):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id || document.activeElement.name"))
        outline = tab.evaluate(
            "(() => { const e = document.activeElement;"
            " const s = e.matches('.segmented input') ? e.nextElementSibling : e;"
            " return getComputedStyle(s).outlineStyle; })()"
        )
        assert outline != "none", reached[-1]
        if reached[-1] == "seek":
            tab.keyboard.press("Home")
            tab.keyboard.press("ArrowUp")
            assert state(tab)["time"] == pytest.approx(0.25)
        if reached[-1] == "overlay":
            tab.keyboard.press("ArrowRight")
            assert state(tab)["overlay"] == "attribution"
            assert state(tab)["time"] == pytest.approx(0.25)
        if reached[-1] == "axis":
            break
    assert reached == ["loop", "level", "seek", "overlay", "opacity", "axis"]


def test_the_keys_panel(visit):
    tab = visit()
    tab.keyboard.press("?")
    assert tab.is_visible("#help")
    assert "0.25 s" in tab.inner_text("#help")
    tab.keyboard.press("b")
    assert state(tab)["sound"] == "original"
    tab.uncheck("#keys-on")
    tab.keyboard.press("Escape")
    assert tab.is_hidden("#help")
    tab.keyboard.press("b")
    assert state(tab)["sound"] == "original"
    tab.keyboard.press("ArrowRight")
    assert state(tab)["time"] > 0


def test_every_control_has_a_name_and_the_roles_are_right(visit):
    tab = visit("poor.html")
    nameless = tab.evaluate(
        """[...document.querySelectorAll('button, input, summary, a, [role=slider], [role=img]')].filter((e) => {
        const by = e.getAttribute('aria-labelledby');
        const words = e.getAttribute('aria-label') || (by && document.getElementById(by).textContent) || e.textContent
          || [...(e.labels ?? [])].map((l) => l.textContent).join('');
        return !words.trim(); }).map((e) => e.outerHTML)"""
    )
    assert nameless == []
    assert tab.get_by_role("radiogroup", name="Sound to listen to").count() == 1
    assert tab.get_by_role("radio", name="Kept").get_attribute("aria-checked") == "false"
    assert tab.get_by_role("button", name="Play", exact=True).count() == 1
    assert tab.get_by_role("button", name="Loop").get_attribute("aria-pressed") == "false"
    assert tab.get_by_role("slider", name="Position in the sound").get_attribute("aria-valuemax") == "5.000"
    assert tab.get_by_role("radio", name="Matched levels").count() == 1
    assert tab.get_by_role("group", name="Overlay").count() == 1
    assert "below half of the original" in tab.get_by_role("alert").inner_text()
    assert tab.get_by_role("heading", level=1).count() == 1
    assert tab.get_attribute("html", "lang") == "en"
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    tab.keyboard.press("b")
    assert tab.inner_text("#status") == "Kept"
    settle(tab)
    assert "sound Kept" in tab.get_attribute("#picture", "aria-label")
    tab.keyboard.press("l")
    assert tab.inner_text("#status") == "matched levels"


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
    tab = visit("poor.html", color_scheme=scheme)
    assert state(tab)["theme"] == scheme
    answer = ("h1", ".sure", ".eyebrow", ".verdict", ".trust strong", ".warnings li", ".source span", "footer")
    instrument = (".sound.kept .what", ".sound.kept .class", ".note", ".gutter span", ".clock .of", ".readout")
    parts = (".scores thead th", ".top5 li", ".figure .meaning", ".better", ".figure code")
    for words in answer + instrument + parts:
        assert contrast(tab, words) >= 4.5, words


def test_dark_follows_the_system_and_the_button(visit):
    tab = visit(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    night = tab.evaluate(ground)
    assert tab.get_attribute("#theme", "aria-pressed") == "true"
    tab.click("#theme")
    assert state(tab)["theme"] == "light"
    day = tab.evaluate(ground)
    assert day != night
    tab.click("#theme")
    assert tab.evaluate(ground) == night


@pytest.mark.parametrize(
    ("name", "width"), [*(("poor.html", width) for width in (360, 390, 768, 1280)), ("report.html", 360)]
)
def test_no_sideways_scroll(visit, width, name):
    tab = visit(name, viewport={"width": width, "height": 844}, color_scheme="light")
    tab.check("input[name=overlay][value=attribution]")
    tab.keyboard.press("l")
    tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    settle(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    beyond = tab.evaluate(
        "[...document.querySelectorAll('button, .segmented, #screen, #rms, td, dd, .legend:not([hidden])')]"
        ".filter((e) => { const b = e.getBoundingClientRect();"
        " return b.width && (b.right > innerWidth + 1 || b.left < -1); }).map((e) => e.outerHTML.slice(0, 90))"
    )
    assert beyond == []


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_the_first_screen_has_answer_buttons_and_spectrogram(visit, size):
    tab = visit(viewport={"width": size[0], "height": size[1]})
    for selector in ("h1", ".trust", "[data-key=removed]", "#play", "#screen"):
        box = tab.locator(selector).bounding_box()
        assert box["y"] + box["height"] <= size[1], selector


def test_reduced_motion_is_respected(visit):
    tab = visit(reduced_motion="reduce")
    assert tab.evaluate("getComputedStyle(document.querySelector('.sound')).transitionDuration") == "0s"


def test_on_paper_the_controls_go_and_the_record_opens(visit):
    tab = visit(color_scheme="dark")
    tab.emulate_media(media="print")
    assert tab.is_hidden(".transport")
    assert tab.is_hidden(".controls")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("details.record").get_attribute("open") is not None


def test_the_record_can_be_copied(visit):
    tab = visit()
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.click("details.record > summary")
    tab.click("#copy")
    tab.wait_for_timeout(100)
    assert tab.inner_text("#copied") == "Copied"
    assert '"name": "esc10-mn"' in tab.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize("sandbox", ["", 'sandbox="allow-scripts"'])
def test_it_works_in_a_notebook_frame(visit, folder, sandbox):
    inner = html.escape((folder / "report.html").read_text(encoding="utf-8"))
    (folder / "notebook.html").write_text(
        f'<iframe {sandbox} width="1000" height="900" srcdoc="{inner}"></iframe>', encoding="utf-8"
    )
    tab = visit(url=(folder / "notebook.html").as_uri())
    frame = tab.frame_locator("iframe")
    frame.locator("#play").click()
    tab.wait_for_timeout(400)
    assert float(frame.locator("#seek").get_attribute("aria-valuenow")) > 0.05
    frame.locator("#play").press("b")
    assert frame.locator("[data-key=kept]").get_attribute("aria-checked") == "true"


def test_hostile_names_do_nothing(visit, folder):
    for i, name in enumerate(made.HOSTILE):
        page = made.sample(1.0)
        sounds = tuple(dataclasses.replace(s, top=((name, 0.9),)) for s in page.sounds)
        page = dataclasses.replace(
            page, title=name, file=name, target=name, verdict=name, warnings=(name,), sounds=sounds, record={name: name}
        )
        (folder / f"hostile{i}.html").write_text(render(page), encoding="utf-8")
        tab = visit(f"hostile{i}.html")
        assert tab.evaluate("window.hacked") is None
        assert tab.evaluate("getComputedStyle(document.body).display") == "block"
        assert name[:6].strip("\x00") in tab.inner_text("h1")
        tab.close()


def test_the_policy_stops_what_would_ask_outside(visit):
    tab = visit(allow=("Content Security Policy", "content security policy"))
    blocked = tab.evaluate(
        """async () => { const seen = [];
        document.addEventListener('securitypolicyviolation', (e) => seen.push(e.effectiveDirective));
        const image = new Image(); image.src = 'https://example.invalid/x.png'; document.body.append(image);
        const script = document.createElement('script');
        script.textContent = 'window.hacked = 1'; document.body.append(script);
        try { await fetch('https://example.invalid/'); } catch (error) { /* wanted */ }
        await new Promise((d) => setTimeout(d, 100)); return seen; }"""
    )
    assert {"img-src", "connect-src", "script-src-elem"} <= set(blocked)
    assert tab.evaluate("window.hacked") is None
