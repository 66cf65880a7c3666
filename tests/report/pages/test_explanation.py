"""The page without a browser: what it encodes comes back whole, and nothing from outside can break out of its place."""

import base64
import dataclasses
import html.parser
import io
import json
import math
import re

import numpy as np
import pytest
import soundfile

from otoscope.core.errors import ParameterError, ShapeError
from otoscope.report.pages.explanation import render
from otoscope.report.pages.explanation_contents import Figure, Page, PageSound

RATE = 32000
HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "\"'><img src=x onerror='window.hacked=1'>",
    "<!--",
    "<!-- <script ",
    "</script x",
    "$data ${title} %s {0}",
    "a & b < c > d",
    "line\u2028separator\u2029 \x00\x1b[31m \udcff \u202egnp.exe",
    "javascript:alert(1)",
    "]]></style><style>*{display:none}",
]


# --- a scene with known parts: a clock ticks in the rain ------------------------------------------------------------


def scene(seconds=5.0, seed=0):
    """(original, kept, removed), each (time,) float32; kept is the ticking."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    ticks = np.zeros_like(time)
    for i, start in enumerate(np.arange(0.35, seconds, 0.5)):
        since = time - start
        ring = np.where(since > 0, np.exp(-np.maximum(since, 0) * 55), 0.0)
        tones = ((1900, 1.0), (3200, 0.7), (5100, 0.45)) if i % 2 else ((2300, 1.0), (3900, 0.7), (6200, 0.4))
        ticks += 0.42 * ring * sum(a * np.sin(2 * np.pi * f * since) for f, a in tones)
    white = np.fft.rfft(rng.standard_normal(time.size))
    hz = np.fft.rfftfreq(time.size, 1 / RATE)
    rain = np.fft.irfft(white / np.sqrt(1 + (hz / 500) ** 2) * (hz > 60), time.size)
    rain *= 0.075 / rain.std() * (1 + 0.35 * np.sin(2 * np.pi * 0.31 * time))
    hum = 0.03 * np.sin(2 * np.pi * 120 * time) + 0.02 * np.sin(2 * np.pi * 240 * time)
    return tuple(part.astype(np.float32) for part in (ticks + rain + hum, ticks, rain + hum))


def spectrogram(samples, floor_db=-90.0, n_fft=1024, hop=320):
    samples = np.pad(samples, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(n_fft))).T / (n_fft / 4)
    db = 20 * np.log10(np.maximum(power, 1e-9))
    return np.clip(np.round(255 * (db - floor_db) / -floor_db), 0, 255).astype(np.uint8)


def flac(samples):
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def sound(key, samples, original, top, **changes):
    level = [float(np.sqrt(np.mean(np.square(s, dtype=np.float64)))) for s in (samples, original)]
    stretches = np.array_split(samples, min(1200, samples.size))
    made = PageSound(
        key=key,
        audio=flac(samples),
        mime="audio/flac",
        href=None,
        gain=1.0,
        match_gain=min(level[1] / max(level[0], 1e-9), 31.6),
        rms_db=20 * math.log10(level[0]) if level[0] else -math.inf,
        spectrogram=spectrogram(samples),
        peaks=np.array([[s.min() for s in stretches], [s.max() for s in stretches]]),
        top=top,
    )
    return dataclasses.replace(made, **changes)


def evidence(kept, removed, bands=48, frames=125):
    """(attribution, mask, frequencies, times) on a coarse mel grid: for the ticks, against the rain."""
    edges = 700 * np.expm1(np.linspace(0, np.log1p(RATE / 2 / 700), bands + 1))
    centres, times = (edges[:-1] + edges[1:]) / 2, (np.arange(frames) + 0.5) / frames * len(kept) / RATE
    parts = []
    for samples in (kept, removed):
        image = 10 ** (-90 * (1 - spectrogram(samples) / 255.0) / 20)
        rows = np.round(centres / (RATE / 2) * (image.shape[0] - 1)).astype(int)
        columns = (times / (len(kept) / RATE) * image.shape[1]).astype(int)
        parts.append(np.maximum(image[rows - 1], image[rows])[:, columns])
    ticks, rain = parts
    mask = np.clip(1.6 * ticks / (ticks + 1.2 * rain + 1e-4) - 0.25, 0, 1).astype(np.float32)
    noise = np.random.default_rng(1).standard_normal(mask.shape)
    attribution = (0.004 * (mask**1.5 - 0.25 * rain / rain.max() * (1 - mask)) + 0.00012 * noise).astype(np.float32)
    return attribution, mask, centres, times


FIGURES = (
    Figure(
        "FF", 0.871, "", "The drop of the probability when the kept part is taken out.", "higher", False, "Faithfulness"
    ),
    Figure(
        "AD", 1.4, "%", "How much probability is lost when only the kept part is heard.", "lower", False, "Average drop"
    ),
    Figure("heard_AD", 2.1, "%", "The same, on the written sound.", "lower", True, "Average drop"),
    Figure("AI", 0.0, "", "Whether the kept part alone is surer than the whole.", "higher", False, "Average increase"),
    Figure("AG", None, "%", "How much of the missing probability the kept part wins.", "higher", False, "Average gain"),
    Figure(
        "Fid-In", 1.0, "", "Whether the kept part alone gets the same first label.", "higher", False, "Input fidelity"
    ),
    Figure(
        "SPS", 0.742, "", "How much of the attribution lies in few cells (Gini index).", "higher", False, "Sparseness"
    ),
    Figure(
        "COMP",
        6.31,
        "nat",
        "Entropy of the attribution: how many cells it takes to tell.",
        "lower",
        False,
        "Complexity",
    ),
    Figure("size", 0.083, "", "Share of the grid that is kept.", "", False, "Mask size"),
)
RECORD = {
    "file": "clock-in-rain.wav",
    "model": {
        "name": "esc10-mn",
        "weights_sha256": "5b7c" * 16,
        "sample_rate": 32000,
        "labels": ["Dog", "Rain", "Clock tick"],
    },
    "method": {"name": "mask-optimisation", "parameters": {"steps": 60, "learning_rate": 0.1, "sparsity": None}},
    "domain": {"name": "mel", "bands": 48, "hop_seconds": 0.04},
    "mask": "positive:sigmoid",
    "seed": 7,
    "bad": [math.nan, math.inf, 1.5],
    "many": list(range(100)),
    "versions": {"otoscope": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
}


def sample(seconds=5.0, **changes):
    """A page of a clock that ticks in the rain, with fields changed."""
    original, kept, removed = scene(seconds)
    attribution, mask, frequencies, times = evidence(kept, removed)
    tops = (
        (
            ("Clock tick", 0.943),
            ("Rain", 0.041),
            ("Crackling fire", 0.009),
            ("Sea waves", 0.004),
            ("Helicopter", 0.0004),
        ),
        (("Clock tick", 0.9302), ("Crackling fire", 0.031), ("Dog", 0.012), ("Rain", 0.008), ("Rooster", 0.003)),
        (("Rain", 0.874), ("Sea waves", 0.062), ("Clock tick", 0.021), ("Helicopter", 0.014), ("Chainsaw", 0.006)),
    )
    page = Page(
        title="Otoscope: clock-in-rain.wav",
        file="clock-in-rain.wav",
        target="Clock tick",
        verdict="The kept sound alone keeps the answer (93 %), and without it the network is at 2 %: "
        "it listened to the ticking, 8 % of the picture.",
        trust="good",
        warnings=(),
        duration=original.size / RATE,
        sample_rate=RATE,
        channels=1,
        top_hz=RATE / 2,
        floor_db=-90.0,
        ceil_db=0.0,
        sounds=tuple(
            sound(k, s, original, t)
            for k, s, t in zip(("original", "kept", "removed"), (original, kept, removed), tops)
        ),
        attribution=attribution,
        mask=mask,
        frequencies=frequencies,
        times=times,
        scores={"original": 0.943, "kept": 0.951, "removed": 0.012},
        heard={"original": 0.943, "kept": 0.9302, "removed": 0.021},
        figures=FIGURES,
        record=RECORD,
    )
    return dataclasses.replace(page, **changes)


@pytest.fixture(scope="module")
def page():
    return sample(seconds=1.0)


@pytest.fixture(scope="module")
def text(page):
    return render(page)


class Reader(html.parser.HTMLParser):
    """What a browser would make of the page: elements, attributes, scripts, and the text that is shown."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.scripts, self.styles, self.shown = [], [], [], [], []
        self.open = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.open = tag

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        {"script": self.scripts, "style": self.styles}.get(self.open, self.shown).append(data)


def embedded(text):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found.group(1), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def array(entry):
    return np.frombuffer(base64.b64decode(entry["base64"]), entry["dtype"]).reshape(entry["shape"])


def test_arrays_come_back_exactly(page, text):
    data = embedded(text)
    np.testing.assert_array_equal(array(data["attribution"]), page.attribution, strict=True)
    np.testing.assert_array_equal(array(data["mask"]), page.mask, strict=True)
    np.testing.assert_array_equal(array(data["frequencies"]), page.frequencies, strict=True)
    np.testing.assert_array_equal(array(data["times"]), page.times, strict=True)
    for entry, given in zip(data["sounds"], page.sounds, strict=True):
        np.testing.assert_array_equal(array(entry["spectrogram"]), given.spectrogram, strict=True)
        np.testing.assert_array_equal(array(entry["peaks"]), given.peaks.astype(np.float32), strict=True)
        assert base64.b64decode(entry["audio"]) == given.audio


def test_arrays_that_are_not_contiguous_or_big_endian_come_back_too(page):
    turned = dataclasses.replace(page, attribution=np.asfortranarray(page.attribution), mask=page.mask.astype(">f4"))
    data = embedded(render(turned))
    np.testing.assert_array_equal(array(data["attribution"]), page.attribution)
    np.testing.assert_array_equal(array(data["mask"]), page.mask)


def test_the_same_page_gives_the_same_text(page, text):
    assert render(page) == text


def test_the_embedded_sound_decodes_to_the_samples(page, text):
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(embedded(text)["sounds"][1]["audio"])))
    assert rate == RATE
    np.testing.assert_allclose(samples, scene(1.0)[1], atol=2 / 32768)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(page, name):
    sounds = tuple(dataclasses.replace(s, top=((name, 0.5),), mime=name) for s in page.sounds)
    figure = Figure(name, 1.0, name, name, "higher", True, name)
    hostile = dataclasses.replace(
        page,
        title=name,
        file=name,
        target=name,
        verdict=name,
        warnings=(name,),
        sounds=sounds,
        figures=(figure,),
        record={name: {name: [name, {name: name}]}},
    )
    made = render(hostile)
    made.encode("utf-8")
    read, plain = (
        Reader(made),
        Reader(render(dataclasses.replace(page, warnings=("x",), record={"a": {"b": [1, {"c": 1}]}}))),
    )
    assert [len(read.scripts), len(read.styles)] == [2, 1]
    assert not set("<>&") & set(read.scripts[0])
    assert set(read.elements) <= set(plain.elements)
    assert {n for _, n, _ in read.attributes} <= {n for _, n, _ in plain.attributes}
    assert embedded(made)["record"] == {name: {name: [name, {name: name}]}}
    assert embedded(made)["target"] == name
    visible = re.sub("[\x00-\x08\x0b-\x1f\ud800-\udfff]", "\ufffd", name)
    assert "".join(read.shown).count(visible) >= 10


def test_what_is_not_finite_becomes_null_or_words(page):
    sounds = tuple(
        dataclasses.replace(s, rms_db=-math.inf, gain=math.nan, top=(("Rain", math.nan),)) for s in page.sounds
    )
    nothing = {"original": math.nan, "kept": math.inf}
    figures = tuple(Figure(n, v, "", "", "", False, n) for n, v in (("a", math.nan), ("b", -math.inf), ("c", None)))
    text = render(dataclasses.replace(page, sounds=sounds, scores=nothing, heard={}, figures=figures))
    data = embedded(text)
    assert [s["rms_db"] for s in data["sounds"]] == [None] * 3
    assert [s["gain"] for s in data["sounds"]] == [None] * 3
    assert data["record"]["bad"] == [None, None, 1.5]
    assert text.count("not defined") == 3
    assert not re.search(
        r"\bnan\b", re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.DOTALL).lower()
    )


def test_numpy_and_foreign_values_in_the_record(page):
    record = {"n": np.float32(0.5), "a": np.arange(3), "path": io, "flag": True, 3: (1, 2)}
    data = embedded(render(dataclasses.replace(page, record=record)))
    assert data["record"] == {"n": 0.5, "a": [0, 1, 2], "path": str(io), "flag": True, "3": [1, 2]}


def test_nothing_points_outside(text):
    read = Reader(text)
    assert not {"iframe", "object", "embed", "base", "img", "audio", "video"} & set(read.elements)
    links = [
        value for _, name, value in read.attributes if name in ("href", "src", "action", "srcset", "data", "xlink:href")
    ]
    assert links
    assert all(value.startswith("#") or value == "data:," for value in links)
    code = "".join([*read.styles, read.scripts[1]])
    assert not re.search(r"https?:|//[a-z]+\.|url\(|@import|fetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(", code)
    assert not [name for _, name, _ in read.attributes if name.startswith("on") or name == "style"]


def test_the_policy_names_the_hashes_of_our_script_and_style(text):
    import hashlib

    read = Reader(text)
    policy = next(v for t, n, v in read.attributes if t == "meta" and n == "content" and "default-src" in v)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, body in (("script-src", read.scripts[1]), ("style-src", read.styles[0])):
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy


def test_linked_sounds_are_not_embedded_and_their_names_are_quoted(page):
    sounds = tuple(
        dataclasses.replace(s, audio=None, href=h)
        for s, h in zip(
            page.sounds, ("a b#1?.wav", "//evil.example/kept.wav", "https://evil.example/x.wav"), strict=True
        )
    )
    data = embedded(render(dataclasses.replace(page, sounds=sounds)))
    assert [s["href"] for s in data["sounds"]] == [
        "./a%20b%231%3F.wav",
        ".///evil.example/kept.wav",
        "./https%3A//evil.example/x.wav",
    ]
    assert [s["audio"] for s in data["sounds"]] == [None] * 3


def test_the_page_is_hardly_larger_than_what_it_carries(page, text):
    arrays = page.attribution.nbytes + page.mask.nbytes + sum(s.spectrogram.nbytes + len(s.audio) for s in page.sounds)
    assert len(text) < 4 / 3 * arrays + 160_000


def test_the_words_are_there_without_a_script(text):
    shown = " ".join("".join(Reader(text).shown).split())
    for words in (
        "Clock tick",
        "Trust in the explanation: good",
        "it listened to the ticking",
        "As heard",
        "Faithfulness",
        "clock-in-rain.wav",
    ):
        assert words in shown
    assert "1 s \u00b7 32 kHz \u00b7 mono" in shown
    assert "<h2>Warnings" not in shown


def test_warnings_are_announced(page):
    text = render(dataclasses.replace(page, trust="poor", warnings=("Kept scores 0.1.", "Silence.")))
    assert 'role="alert"><svg' in text
    assert "<li>Kept scores 0.1.</li><li>Silence.</li>" in text
    assert "Trust in the explanation: poor" in text


def test_another_first_answer_is_named(page):
    text = render(dataclasses.replace(page, target="Rain"))
    assert "Explained class \u00b7 the network predicts <bdi>Clock tick</bdi>, 94" in text


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (1.0, "1"), (-0.01234, "\u22120.0123"), (12345.6, "12,346"), (0.0004, "0.0004"), (71.234, "71.2")],
)
def test_numbers_are_short(page, value, words):
    text = render(dataclasses.replace(page, figures=(Figure("x", value, "", "", ""),)))
    assert f'<dd class="value">{words}</dd>' in text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (1.0, "100"),
        (0.5, "50"),
        (0.0004, "&lt;0.1"),
        (0.9996, "&gt;99.9"),
        (0.996, "99.6"),
        (0.021, "2.1"),
        (0.0996, "10"),
    ],
)
def test_percentages_never_round_to_certainty(page, value, words):
    text = render(dataclasses.replace(page, scores={"original": value}))
    assert f'<span class="sure">{words}\u202f%</span>' in text


def one(page, **changes):
    return dataclasses.replace(page, sounds=(dataclasses.replace(page.sounds[0], **changes), *page.sounds[1:]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda p: dataclasses.replace(p, mask=p.mask[:, :-1]),
            r"mask has shape \(48, 124\).*48 frequencies and 125 times",
        ),
        (lambda p: dataclasses.replace(p, attribution=p.attribution.T), r"attribution has shape \(125, 48\)"),
        (lambda p: dataclasses.replace(p, times=p.times[None]), r"times is one row.*\(1, 125\)"),
        (lambda p: dataclasses.replace(p, frequencies=p.frequencies[:0]), r"frequencies is one row.*\(0,\)"),
        (lambda p: one(p, spectrogram=p.sounds[0].spectrogram.astype(np.float32)), r"original is uint8 .*float32"),
        (lambda p: one(p, spectrogram=p.sounds[0].spectrogram[0]), r"original is uint8 \(freq, frame\)"),
        (lambda p: dataclasses.replace(p, rows=("a", "b")), "there are 2 names for 48 rows"),
        (lambda p: one(p, peaks=p.sounds[0].peaks.T), r"peaks of original are \(2, n\).*\(1200, 2\)"),
    ],
)
def test_wrong_shapes_are_refused(page, change, words):
    with pytest.raises(ShapeError, match=words):
        render(change(page))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: dataclasses.replace(p, trust="great"), "good, doubtful, poor; got 'great'"),
        (lambda p: dataclasses.replace(p, sounds=p.sounds[::-1]), "got removed, kept, original"),
        (lambda p: dataclasses.replace(p, sounds=()), "got none"),
        (lambda p: dataclasses.replace(p, duration=0.0), "duration must be a positive number; got 0.0"),
        (lambda p: dataclasses.replace(p, top_hz=math.nan), "top_hz must be a positive number; got nan"),
        (lambda p: one(p, audio=None), "original is neither embedded"),
    ],
)
def test_wrong_values_are_refused(page, change, words):
    with pytest.raises(ParameterError, match=words):
        render(change(page))
