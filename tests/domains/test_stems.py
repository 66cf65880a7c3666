"""Stems from files: at the clip's rate and channels, with a residual that makes the parts the clip exactly."""

import numpy as np
import pytest
import torch

import otoscope
from otoscope.audio import open_audio, write_wav
from otoscope.core.errors import OtoscopeError, ParameterError, ShapeError
from otoscope.core.records import Clip
from otoscope.datasets.scenes import demo_scene
from otoscope.domains import make_domain
from otoscope.domains.stems import read_stems, stem_files
from worlds import RATE, band_energy, tone


def put(folder, name, stems, rate=RATE, extra=0.0, mix=None):
    """A clip that is the sum of its stems (and something of its own), and the stems beside it."""
    for kind, samples in stems.items():
        (folder / "stems" / name).mkdir(parents=True, exist_ok=True)
        write_wav(folder / "stems" / name / f"{kind}.wav", np.atleast_2d(samples), rate)
    mix = np.atleast_2d(sum(stems.values()) + extra) if mix is None else mix
    (folder / "audio").mkdir(exist_ok=True)
    return write_wav(folder / "audio" / f"{name}.wav", mix, rate)


def explain(path, folder, **options):
    domain = ("components", {"source": "stems", "stems": str(folder / "stems"), **options.pop("settings", {})})
    return otoscope.explain(path, band_energy(), method="occlusion", target="tone", **{"domain": domain, **options})


@pytest.fixture
def two(tmp_path):
    return put(tmp_path, "a", {"decoy": tone(3000, level=0.1), "tone": tone(1000)})


def test_the_right_stem_gets_the_attribution_and_is_kept_exactly(two, tmp_path):
    made = explain(two, tmp_path, mask="positive:threshold:0.5")
    assert made.mask.grid.rows == ("tone", "decoy", "residual")
    assert made.mask.values[:, 0].tolist() == [1, 0, 0]
    np.testing.assert_array_equal(made.kept.samples[0], tone(1000))
    np.testing.assert_allclose(made.removed.samples[0], tone(3000, level=0.1), atol=1e-7)
    np.testing.assert_allclose(made.heard.kept, made.scores.kept, atol=1e-5)


def test_what_no_stem_holds_is_the_residual(tmp_path):
    hum = tone(1000, level=0.2)
    path = put(tmp_path, "a", {"decoy": tone(3000)}, extra=hum)
    made = explain(path, tmp_path, mask="binary")
    assert made.mask.grid.rows == ("decoy", "residual")
    assert made.attribution.values[1] > 5 * abs(made.attribution.values[0])
    np.testing.assert_allclose(made.kept.samples[0], hum, atol=1e-6)


def test_a_stereo_clip_at_44100_with_mono_and_stereo_stems(tmp_path, db):
    rate = 44100
    left = np.stack([tone(1000, 1.0, rate), np.zeros(rate, np.float32)])
    high = tone(12000, 1.0, rate, 0.2)
    path = put(tmp_path, "a", {"left": left, "high": high}, rate, mix=left + high)
    made = explain(path, tmp_path, mask="topk:1")
    assert made.kept.samples.shape == (2, rate)
    assert db(made.kept.samples[0], 1000, rate) == pytest.approx(db(left[0], 1000, rate), abs=0.05)
    for channel in range(2):  # above the classifier's Nyquist frequency
        assert db(made.kept.samples[channel], 12000, rate) < db(high, 12000, rate) - 60
        assert db(made.removed.samples[channel], 12000, rate) == pytest.approx(db(high, 12000, rate), abs=0.05)
    np.testing.assert_allclose(made.heard.kept, made.scores.kept, atol=1e-3)


def test_a_stem_at_another_rate_is_brought_to_the_clips(tmp_path):
    path = put(tmp_path, "a", {"decoy": tone(3000, level=0.1), "tone": tone(1000)})
    write_wav(tmp_path / "stems" / "a" / "tone.wav", tone(1000, 1.0, 16000)[None], 16000)
    kept = explain(path, tmp_path, mask="positive:threshold:0.5").kept.samples[0]
    assert np.abs(kept - tone(1000))[500:-500].max() < 1e-3


@pytest.mark.parametrize("n", [1, 80, RATE // 2])
def test_shorter_stems_end_in_silence_and_the_parts_still_sum(tmp_path, n):
    path = put(tmp_path, "a", {"decoy": tone(3000), "tone": tone(1000)})
    write_wav(tmp_path / "stems" / "a" / "tone.wav", tone(1000)[None, :n] + 0.1, RATE)
    stems = read_stems(str(tmp_path / "stems"), open_audio(path))
    assert [c.frames for c in stems.clips] == [RATE, RATE]
    assert not stems.clips[1].samples[0, n:].any()
    made = explain(path, tmp_path, mask="topk:1")
    np.testing.assert_allclose(made.kept.samples[0], tone(3000) + tone(1000), atol=1e-6)


def test_a_longer_stem_is_of_another_clip_but_a_little_is_cut(tmp_path):
    path = put(tmp_path, "a", {"tone": tone(1000)})
    write_wav(tmp_path / "stems" / "a" / "tone.wav", tone(1000, 1.05)[None], RATE)
    np.testing.assert_array_equal(explain(path, tmp_path, mask="topk:0.5").kept.samples[0], tone(1000))
    write_wav(tmp_path / "stems" / "a" / "tone.wav", tone(1000, 1.5)[None], RATE)
    with pytest.raises(ParameterError, match=r"lasts 1\.50 s and its clip 1\.00 s; is it of another clip\?"):
        explain(path, tmp_path)


@pytest.mark.parametrize("n", [1, 80])
def test_very_short_and_silent_clips(tmp_path, n):
    path = put(tmp_path, "a", {"x": tone(1000)[:n] * 0, "y": tone(500)[:n] * 0})
    made = explain(path, tmp_path)
    assert made.mask.grid.rows == ("x", "y", "residual")
    assert not made.kept.samples.any()
    assert not made.removed.samples.any()


def test_segments_of_time_switch_stems(two, tmp_path):
    made = explain(two, tmp_path, settings={"segments_s": 0.5}, mask="positive:threshold:0.1")
    assert made.mask.values.shape == (3, 2)
    np.testing.assert_allclose(made.heard.kept, made.scores.kept, atol=1e-4)
    np.testing.assert_allclose(made.kept.samples + made.removed.samples, open_audio(two).read(0, RATE), atol=1e-7)


def test_clips_with_other_numbers_of_stems_are_explained_together(two, tmp_path):
    more = put(tmp_path, "b", {"decoy": tone(3000), "tone": tone(1000), "low": tone(200)})
    made = explain([two, more, two], tmp_path)
    assert [len(m.mask.grid.rows) for m in made] == [3, 4, 3]
    assert made[1].mask.grid.rows == ("low", "tone", "decoy", "residual")
    np.testing.assert_array_equal(made[0].kept.samples, made[2].kept.samples)
    domain = make_domain("components", {"source": "stems", "stems": str(tmp_path / "stems")})
    with pytest.raises(ShapeError, match=r"one batch have \[2, 3\] stems"):
        domain.bind([open_audio(two), open_audio(more)]).analyse(torch.zeros(2, RATE), band_energy())


class TestRefused:
    def test_an_array_has_no_stems(self, two, tmp_path):
        domain = ("components", {"source": "stems", "stems": str(tmp_path / "stems")})
        with pytest.raises(ParameterError, match="the sound came from array, pass its path"):
            otoscope.explain(tone(1000), band_energy(), sample_rate=RATE, domain=domain)

    def test_a_clip_without_stems(self, two, tmp_path):
        path = write_wav(tmp_path / "lonely.wav", tone(1000)[None], RATE)
        with pytest.raises(ParameterError, match=r"lonely\.wav has no stems: no \*\.wav or \*\.flac in .*lonely"):
            explain(path, tmp_path)
        (tmp_path / "stems" / "lonely").mkdir()
        (tmp_path / "stems" / "lonely" / ".hidden.wav").write_bytes(b"")
        with pytest.raises(ParameterError, match="has no stems"):
            explain(path, tmp_path)

    def test_a_damaged_stem(self, two, tmp_path):
        (tmp_path / "stems" / "a" / "tone.wav").write_bytes(b"no sound")
        with pytest.raises(OtoscopeError, match=r"cannot read .*tone\.wav"):
            explain(two, tmp_path)

    def test_other_channels(self, tmp_path):
        path = put(tmp_path, "a", {"x": np.zeros((3, 100), np.float32)}, mix=np.zeros((2, 100), np.float32))
        with pytest.raises(ParameterError, match="has 3 channels and its clip 2; it must have 1 or as many"):
            explain(path, tmp_path)

    def test_unbound_or_of_other_sounds(self, two, tmp_path):
        domain = make_domain("components", {"source": "stems", "stems": str(tmp_path / "stems")})
        with pytest.raises(ParameterError, match=r"pass the sounds with domain.bind\(sounds\)"):
            domain.analyse(torch.zeros(1, RATE), band_energy())
        own = domain.bind([open_audio(two)])
        with pytest.raises(ShapeError, match="2 waveforms for the stems of 1 sounds"):
            own.analyse(torch.zeros(2, RATE), band_energy())
        with pytest.raises(ShapeError, match="the stems have 8000 samples and their clip 100"):
            own.analyse(torch.zeros(1, 100), band_energy())

    def test_too_many(self, tmp_path):
        folder = tmp_path / "stems" / "a"
        folder.mkdir(parents=True)
        for i in range(65):
            (folder / f"{i}.wav").write_bytes(b"")
        with pytest.raises(ParameterError, match="holds 65 stems; at most 64"):
            stem_files(str(tmp_path / "stems"), Clip(np.zeros((1, 1)), RATE, "x/a.wav"))


class TestReplay:
    def test_the_same_again_from_any_folder(self, two, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        made = otoscope.explain(
            two, band_energy(), method="occlusion", domain=("components", {"source": "stems", "stems": "stems"})
        )
        record = made.record()
        assert set(record["domain"]["stems"]) == {"tone", "decoy"}
        (tmp_path / "else").mkdir()
        monkeypatch.chdir(tmp_path / "else")
        again = otoscope.replay(record, model=band_energy())
        np.testing.assert_array_equal(again.kept.samples, made.kept.samples)

    def test_a_folder_with_a_comma(self, tmp_path):
        folder = tmp_path / "a, b"
        folder.mkdir()
        path = put(folder, "a", {"tone": tone(1000)})
        made = explain(path, folder)
        again = otoscope.replay(made.record(), model=band_energy())
        np.testing.assert_array_equal(again.mask.values, made.mask.values)

    def test_changed_stems_are_noticed(self, two, tmp_path):
        record = explain(two, tmp_path).record()
        write_wav(tmp_path / "stems" / "a" / "tone.wav", tone(1100)[None], RATE)
        with pytest.raises(OtoscopeError, match="the stems are not those of the record"):
            otoscope.replay(record, model=band_energy())


def test_the_stems_of_a_data_set_of_scenes(tmp_path):
    """Our own scenes: their stems sum to the clip, so nothing is left over."""
    scene = demo_scene()
    rate = scene.clip.sample_rate
    path = put(tmp_path, "scene", {s.label: s.samples for s in scene.stems}, rate, mix=scene.clip.samples)
    domain = make_domain("components", {"source": "stems", "stems": str(tmp_path / "stems")})
    sound = open_audio(path)

    class InputSpec:
        sample_rate, frontend, name = rate, None, "listener"

    analysis = domain.bind([sound]).analyse(torch.from_numpy(sound.read(0, sound.frames)), InputSpec())
    assert set(analysis.names[0][:-1]) == {s.label for s in scene.stems}
    assert float(analysis.parts[0, -1].abs().max()) < 1e-5
