"""The listening page without a browser: what it carries, what it says, what it refuses."""

import base64
import copy
import html.parser
import io
import json
import math
import re

import numpy as np
import pytest
import soundfile

from otoscope.core import registry
from otoscope.core.errors import AudioReadError, ParameterError, ShapeError, UnknownNameError
from otoscope.report.pages.listening import write_listening_page

RATE = 32000
HOSTILE = "</script><script>window.hacked = 1</script>\"'><img src=x onerror='window.hacked=1'> $data & <!-- \u2028"


def tone(hz, level, seconds):
    return level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)


def sounds(seconds=2.0, shift=0):
    """Tones with known places and levels: the reconstruction by MN keeps the low one, the one by DyMN the high one."""
    low, high = tone(500 + shift, 0.2, seconds), tone(6000 + shift, 0.05, seconds)
    return {
        "original": low + high, "control": 0.5 * (low + high),
        "mn-pretrained": low, "mn-random": 0.8 * low, "dymn-pretrained": high, "dymn-random": 0.8 * high,
    }  # fmt: skip


def said(mn, dymn, p=0.9):
    return {"mn": {"label": mn, "p": p}, "dymn": {"label": dymn, "p": 1 - p}}


def contents_in(folder, clips=2, seconds=2.0):
    """A folder as a study fills it, and its contents."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    made = []
    for place in range(clips):
        versions, parts = [], sounds(seconds, 10 * place)
        for name, samples in parts.items():
            network, _, start = name.partition("-")
            path = f"audio/{place} {name}.flac"
            soundfile.write(folder / path, samples, RATE, subtype="PCM_16")
            version = {"kind": name, "audio": path, "said": said("dog", "rain" if name == "control" else "dog")}
            if name == "control":
                version |= {"title": "autoencoder, MSE only", "si_sdr_db": 12.34}
            if start:
                version |= {"kind": "reconstruction", "network": network, "start": start, "si_sdr_db": -3.21}
                other = f"audio/{place} {name} difference.flac"
                soundfile.write(folder / other, parts["original"] - samples, RATE, subtype="PCM_16")
                versions.append({"kind": "difference", "network": network, "start": start, "audio": other, "said": {}})
            versions.append(version)
        made.append({"file": f"1-{place}-A-0.wav", "label": "dog", "versions": versions})
    return {
        "title": "What they like to hear",
        "intro": "One paragraph.\n\nAnother one.",
        "sample_rate": RATE,
        "networks": [{"name": "mn", "title": "MN", "accuracy": 0.95}, {"name": "dymn", "title": "DyMN"}],
        "starts": [
            {"name": "pretrained", "title": "pre-trained by MSE"}, {"name": "random", "title": "random weights"},
        ],
        "clips": made,
    }  # fmt: skip


@pytest.fixture
def contents(tmp_path):
    return contents_in(tmp_path)


class Reader(html.parser.HTMLParser):
    """Elements, attributes, shown words and scripts, as a browser would see them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.scripts, self.shown, self._inside = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.shown.append(data)


def data_of(path):
    return json.loads(Reader(path.read_text(encoding="utf-8")).scripts[0])


def part(folder, kind, place):
    text = (folder / "page" / f"{kind}-{place}.js").read_text(encoding="utf-8")
    found = re.fullmatch(rf"otoscope\.{kind}\({place},(.*)\);\n", text, re.S)
    assert found
    return json.loads(found[1])


def array(entry):
    return np.frombuffer(base64.b64decode(entry["base64"]), entry["dtype"]).reshape(entry["shape"])


# --- what it carries ------------------------------------------------------------------------------------------------


def test_it_is_a_view(tmp_path, contents):
    assert registry.get("view", "listening").target(tmp_path, contents) == tmp_path / "index.html"


def test_the_original_comes_first_and_every_version_has_its_name(tmp_path, contents):
    data = data_of(write_listening_page(tmp_path, contents))
    (first, second) = data["clips"]
    assert (first["file"], first["label"], first["duration"]) == ("1-0-A-0.wav", "dog", 2.0)
    assert [s["kind"] for s in first["sounds"]].count("difference") == 4
    named = {(s["title"], s["note"]) for s in first["sounds"]}
    assert {
        ("Original", "the recording"), ("Control", "autoencoder, MSE only"), ("MN", "pre-trained by MSE"),
        ("DyMN", "random weights"), ("DyMN, difference", "random weights"),
    } < named  # fmt: skip
    assert first["sounds"][0]["kind"] == "original"
    assert (data["sample_rate"], data["floor_db"], data["ceil_db"]) == (RATE, -100.0, 0.0)
    assert len(second["sounds"]) == 10


def test_an_original_that_is_not_listed_first_is_put_first(tmp_path, contents):
    contents["clips"][0]["versions"].reverse()
    data = data_of(write_listening_page(tmp_path, contents))
    assert data["clips"][0]["sounds"][0]["title"] == "Original"
    carried = [base64.b64decode(text) for text in part(tmp_path, "sounds", 0)]
    assert carried[0] == (tmp_path / "audio/0 original.flac").read_bytes()
    shown = [(s["kind"], s["network"], s["start"]) for s in data["clips"][0]["sounds"]]
    place = shown.index(("reconstruction", "dymn", "random"))
    assert carried[place] == (tmp_path / "audio/0 dymn-random.flac").read_bytes()


def test_what_the_networks_said(tmp_path, contents):
    data = data_of(write_listening_page(tmp_path, contents))
    control = next(s for s in data["clips"][0]["sounds"] if s["kind"] == "control")
    assert control["said"] == [
        {"network": "MN", "label": "dog", "p": "90\u202f%", "right": True},
        {"network": "DyMN", "label": "rain", "p": "10\u202f%", "right": False},
    ]
    assert control["si_sdr"] == "12.3 dB"
    kept = next(s for s in data["clips"][0]["sounds"] if s["kind"] == "reconstruction")
    assert kept["si_sdr"] == "\u22123.2 dB"
    assert data["clips"][0]["sounds"][0]["si_sdr"] is None


def test_levels_and_matching_gains(tmp_path, contents):
    data = data_of(write_listening_page(tmp_path, contents))
    levels = {(s["kind"], s["network"], s["start"]): s for s in data["clips"][0]["sounds"]}

    def rms(samples):
        return math.sqrt(sum(float(v) ** 2 for v in samples) / len(samples))

    parts = sounds()
    original = rms(parts["original"])
    for key, name in ((("control", None, None), "control"), (("reconstruction", "dymn", "random"), "dymn-random")):
        level = rms(parts[name])
        assert levels[key]["rms_db"] == pytest.approx(20 * math.log10(level), abs=0.01)
        assert levels[key]["match_gain"] == pytest.approx(original / level, rel=2e-3)
    soft = levels[("difference", "mn", "pretrained")]  # the high tone alone: peak 0.05
    assert soft["match_gain"] == pytest.approx(original / rms(parts["dymn-pretrained"]), rel=2e-3)


def test_a_soft_difference_is_raised_to_full_scale_at_most(tmp_path, contents):
    click = np.zeros(2 * RATE)
    click[100] = 0.5
    version = next(v for v in contents["clips"][0]["versions"] if v["kind"] == "difference")
    soundfile.write(tmp_path / version["audio"], click, RATE, subtype="PCM_16")
    data = data_of(write_listening_page(tmp_path, contents))
    shown = next(s for s in data["clips"][0]["sounds"] if s["kind"] == "difference")
    assert shown["match_gain"] == pytest.approx(2.0, rel=1e-3)


def test_a_sound_that_was_turned_down_is_turned_up_again(tmp_path, contents):
    version = version_of(contents, "control")
    whole = 20 * np.asarray(sounds()["control"])  # peaks beyond full scale
    soundfile.write(tmp_path / version["audio"], whole / 10, RATE, subtype="PCM_16")
    version["attenuated_db"] = 20.0
    shown = data_of(write_listening_page(tmp_path, contents))["clips"][0]["sounds"]
    place = next(i for i, s in enumerate(shown) if s["kind"] == "control")
    assert shown[place]["gain"] == pytest.approx(10)
    assert shown[place]["rms_db"] == pytest.approx(20 * math.log10(np.sqrt(np.mean(whole**2))), abs=0.01)
    assert np.abs(array(part(tmp_path, "pictures", 0)[place]["peaks"])).max() == pytest.approx(
        np.abs(whole).max(), rel=1e-3
    )
    assert shown[0]["gain"] == 1


def test_pictures_show_the_tones(tmp_path, contents):
    data = data_of(write_listening_page(tmp_path, contents))
    pictures = part(tmp_path, "pictures", 1)
    kinds = [(s["kind"], s["network"], s["start"]) for s in data["clips"][1]["sounds"]]
    for network, hz, peak in (("mn", 510, 0.2), ("dymn", 6010, 0.05)):
        picture = pictures[kinds.index(("reconstruction", network, "pretrained"))]
        image = array(picture["spectrogram"])
        assert image.dtype == np.uint8
        loudest = np.argmax(image[:, image.shape[1] // 2])
        assert loudest / (image.shape[0] - 1) * RATE / 2 == pytest.approx(hz, abs=RATE / 2 / image.shape[0])
        assert np.abs(array(picture["peaks"])).max() == pytest.approx(peak, abs=1e-3)


def test_sounds_are_carried_as_they_are(tmp_path, contents):
    write_listening_page(tmp_path, contents)
    first, rate = soundfile.read(io.BytesIO(base64.b64decode(part(tmp_path, "sounds", 0)[0])))
    assert rate == RATE
    np.testing.assert_allclose(first, sounds()["original"], atol=2 / 32768)


def test_a_second_page_leaves_nothing_of_the_first(tmp_path, contents):
    write_listening_page(tmp_path, contents)
    (tmp_path / "page" / "notes-9.js").write_text("mine")
    write_listening_page(tmp_path, contents | {"clips": contents["clips"][:1]})
    names = sorted(file.name for file in (tmp_path / "page").iterdir())
    assert names == ["notes-9.js", "pictures-0.js", "sounds-0.js"]


def test_the_same_contents_give_the_same_page(tmp_path, contents):
    before = write_listening_page(tmp_path, contents).read_bytes()
    assert write_listening_page(tmp_path, contents).read_bytes() == before


def test_the_index_stays_small_with_a_hundred_clips(tmp_path):
    one = contents_in(tmp_path, clips=1, seconds=0.05)
    many = one | {"clips": one["clips"] * 100}
    index = write_listening_page(tmp_path, many)
    assert len(list((tmp_path / "page").glob("sounds-*.js"))) == 100
    assert index.stat().st_size < 400_000  # sounds and pictures lie in parts, which are loaded one at a time
    assert Reader(index.read_text(encoding="utf-8")).elements.count("option") == 100


# --- what it says ---------------------------------------------------------------------------------------------------


def test_words_are_there_without_a_script(tmp_path, contents):
    read = Reader(write_listening_page(tmp_path, contents).read_text(encoding="utf-8"))
    shown = "".join(read.shown)
    for words in (
        "What they like to hear",
        "One paragraph.",
        "Another one.",
        "accuracy",
        "95\u202f%",
        "random weights",
    ):
        assert words in shown
    assert "2 clips \u00b7 2 networks \u00b7 32 kHz" in shown
    assert shown.count("accuracy") == 1  # DyMN's is not known
    assert "1. dog \u2013 1-0-A-0.wav" in shown


def test_nothing_points_outside_and_names_stay_text(tmp_path, contents):
    contents["intro"] = "One paragraph."
    plain = Reader(write_listening_page(tmp_path, contents).read_text(encoding="utf-8"))
    bad = copy.deepcopy(contents)
    bad["title"] = bad["intro"] = HOSTILE
    for entry in (*bad["networks"], *bad["starts"]):
        entry["title"] = HOSTILE
    for clip in bad["clips"]:
        clip["file"] = clip["label"] = HOSTILE
        for version in clip["versions"]:
            version["said"] = said(HOSTILE, HOSTILE)
            if version["kind"] == "control":
                version["title"] = HOSTILE
    read = Reader(write_listening_page(tmp_path, bad).read_text(encoding="utf-8"))
    assert read.elements == plain.elements
    assert {(t, n) for t, n, _ in read.attributes} == {(t, n) for t, n, _ in plain.attributes}
    assert len(read.scripts) == 2
    assert not set("<>&") & set(read.scripts[0])
    sound = json.loads(read.scripts[0])["clips"][0]["sounds"][0]
    assert (sound["said"][0]["label"], sound["said"][0]["right"]) == (HOSTILE, True)
    links = [v for _, n, v in read.attributes if n in ("href", "src", "action", "srcset")]
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert not re.search(
        r"https?://(?!www\.w3\.org/2000/svg)|fetch\(|XMLHttpRequest|@import|innerHTML", read.scripts[1]
    )
    policy = next(v for t, n, v in read.attributes if n == "content" and "default-src" in v)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_numbers_that_are_not_known_are_said_so(tmp_path, contents, value):
    original = next(v for v in contents["clips"][0]["versions"] if v["kind"] == "original")
    original["said"] = {"mn": {"label": "dog", "p": value}}
    control = next(v for v in contents["clips"][0]["versions"] if v["kind"] == "control")
    control["si_sdr_db"] = contents["networks"][0]["accuracy"] = value
    index = write_listening_page(tmp_path, contents)
    shown = data_of(index)["clips"][0]["sounds"]
    assert shown[0]["said"] == [{"network": "MN", "label": "dog", "p": "\u2013", "right": True}]
    assert next(s for s in shown if s["kind"] == "control")["si_sdr"] == "not defined"
    assert "accuracy" not in "".join(Reader(index.read_text(encoding="utf-8")).shown)


def test_silence_has_no_level(tmp_path, contents):
    version = next(v for v in contents["clips"][0]["versions"] if v["kind"] == "difference")
    soundfile.write(tmp_path / version["audio"], np.zeros(2 * RATE), RATE, subtype="PCM_16")
    shown = data_of(write_listening_page(tmp_path, contents))["clips"][0]["sounds"]
    silent = next(s for s in shown if s["kind"] == "difference")
    assert (silent["rms_db"], silent["match_gain"]) == (None, 1.0)


def test_without_starting_points_a_network_has_one_version(tmp_path, contents):
    versions = [v for v in contents["clips"][0]["versions"] if v.get("start") != "random"]
    for version in versions:
        version.pop("start", None)
    index = write_listening_page(
        tmp_path, contents | {"starts": [], "clips": [contents["clips"][0] | {"versions": versions}]}
    )
    assert {(s["title"], s["note"]) for s in data_of(index)["clips"][0]["sounds"]} > {
        ("MN", ""),
        ("MN, difference", ""),
    }


# --- what it refuses ------------------------------------------------------------------------------------------------


def version_of(contents, kind):
    return next(v for v in contents["clips"][0]["versions"] if v["kind"] == kind)


def put(path, value):
    """A change at a path of keys; None takes the key away."""

    def change(contents):
        *way, last = path
        table = contents
        for step in way:
            table = version_of(contents, step) if step in ("original", "control", "reconstruction") else table[step]
        if value is None:
            del table[last]
        else:
            table[last] = value

    return change


REFUSED = [
    (put(["clips"], []), ParameterError, "at least one clip"),
    (put(["clips"], None), ParameterError, "lacks 'clips'"),
    (put(["clips"], "dog.wav"), ParameterError, "'clips' of a listening page is a list"),
    (put(["clips"], [3]), ParameterError, "clip 1 is a table"),
    (put(["title"], 3), ParameterError, "'title' of a listening page is text; got 3"),
    (put(["sample_rate"], 0), ParameterError, "positive number of Hz; got 0"),
    (put(["sample_rate"], 44100), ParameterError, "rate of 32000 Hz but the page's sample_rate is 44100"),
    (put(["networks", 1, "name"], "mn"), ParameterError, "names 'mn' twice"),
    (put(["networks", 0, "accuracy"], 95.0), ParameterError, r"accuracy of mn is a number in \[0, 1\]; got 95.0"),
    (put(["clips", 0, "versions"], []), ParameterError, "needs one version of kind 'original'"),
    (put(["original", "kind"], "orignal"), UnknownNameError, "did you mean 'original'"),
    (put(["reconstruction", "network"], "dymm"), UnknownNameError, "network of the reconstruction .* mean 'dymn'"),
    (put(["reconstruction", "network"], None), ParameterError, "reconstruction of clip 1 .* lacks 'network'"),
    (put(["reconstruction", "start"], "scratch"), UnknownNameError, "starting point of .* 'scratch'"),
    (put(["original", "said"], {"cnn": {"label": "dog", "p": 1.0}}), UnknownNameError, "answered the original .* 'cnn'"),
    (put(["original", "said"], {"mn": {"p": 1.0}}), ParameterError, "the answer of mn to .* lacks 'label'"),
    (put(["original", "said"], said("dog", "dog", 1.5)), ParameterError, r"p that mn gave .* \[0, 1\]; got 1.5"),
    (put(["original", "said"], {"mn": {"label": "dog", "p": "high"}}), ParameterError, "a number or null; got 'high'"),
    (put(["control", "si_sdr_db"], "good"), ParameterError, "si_sdr_db of the control .* a number or null"),
    (put(["control", "attenuated_db"], -3.0), ParameterError, r"attenuated_db of the control .* \[0, 120\]; got -3.0"),
    (put(["original", "audio"], "audio/gone.flac"), AudioReadError, "gone.flac: no such file"),
    (put(["original", "audio"], "../secret.flac"), ParameterError, "inside the page's folder.*'../secret.flac'"),
    (put(["original", "audio"], "/etc/passwd"), ParameterError, "inside the page's folder"),
    (put(["original", "audio"], "audio"), AudioReadError, "no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "words"), REFUSED)
def test_wrong_contents_are_refused(tmp_path, contents, change, error, words):
    change(contents)
    with pytest.raises(error, match=words):
        write_listening_page(tmp_path, contents)
    assert not (tmp_path / "index.html").exists()


def test_two_versions_of_one_name_are_refused(tmp_path, contents):
    contents["clips"][0]["versions"].append(version_of(contents, "reconstruction"))
    with pytest.raises(ParameterError, match="two versions reconstruction mn pretrained"):
        write_listening_page(tmp_path, contents)


def test_versions_of_another_length_are_refused(tmp_path, contents):
    soundfile.write(tmp_path / version_of(contents, "control")["audio"], np.zeros(RATE), RATE)
    with pytest.raises(
        ShapeError, match=r"0 control\.flac has 32000 samples but the original of 1-0-A-0.wav has 64000"
    ):
        write_listening_page(tmp_path, contents)


def test_what_is_no_sound_is_refused(tmp_path, contents):
    (tmp_path / version_of(contents, "control")["audio"]).write_text("no sound")
    with pytest.raises(AudioReadError, match=r"0 control\.flac"):
        write_listening_page(tmp_path, contents)


def test_contents_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="a listening page is a table with the key 'title'; got \\[\\]"):
        write_listening_page(tmp_path, [])


# --- other words ----------------------------------------------------------------------------------------------------


def test_other_pages_have_words_of_their_own(tmp_path, contents):
    contents["words"] = {
        "networks": "Methods", "network": "Method", "reconstructions": "Kept", "differences": "Removed",
        "other": "removed", "control": "The truth", "how": f"First.\n\n{HOSTILE}",
    }  # fmt: skip
    contents["clips"][0]["versions"][0]["facts"] = [["p(dog)", "93 %"]]
    path = write_listening_page(tmp_path, contents)
    page = Reader(path.read_text(encoding="utf-8"))
    shown = "".join(page.shown)
    for word in ("Method", "Kept", "Removed", "switch between kept and removed", "First.", "window.hacked"):
        assert word in shown
    for word in ("Reconstructions", "Differences", "Network", "reconstruction"):
        assert word not in shown
    assert len(page.scripts) == 2
    sounds_of = data_of(path)["clips"][0]["sounds"]
    assert [s["facts"] for s in sounds_of].count([["p(dog)", "93 %"]]) == 1
    assert "The truth" in [s["title"] for s in sounds_of]
    assert "MN, removed" in [s["title"] for s in sounds_of]
    assert "2 methods" in shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"words": []}, "'words' of a listening page is a table"),
        ({"words": {"other": 3}}, "the word for 'other'"),
    ],
)
def test_words_that_are_no_words(tmp_path, contents, change, said):
    with pytest.raises(ParameterError, match=said):
        write_listening_page(tmp_path, {**contents, **change})


@pytest.mark.parametrize("facts", [3, ["p"], [["p"]], [["p", 1, 2]]])
def test_facts_that_are_no_pairs(tmp_path, contents, facts):
    contents["clips"][0]["versions"][0]["facts"] = facts
    with pytest.raises(ParameterError, match="fact"):
        write_listening_page(tmp_path, contents)
