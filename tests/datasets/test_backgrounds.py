"""Background sounds as data. Reading folders and tables is tested through `tests/attribution/test_background.py`."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from otoscope.audio import close_audio, open_audio, write_wav
from otoscope.core.errors import ParameterError
from otoscope.core.records import Clip
from otoscope.datasets.backgrounds import Background, _waveforms, read_background


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path / "cache"))
    _waveforms.cache_clear()
    yield
    _waveforms.cache_clear()


@pytest.fixture
def sounds(tmp_path):
    """Four stereo sounds of two classes at several rates, peaks far from 1."""
    rng = np.random.default_rng(0)
    out = []
    for i, (label, rate) in enumerate([("rain", 22050), ("rain", 16000), ("dog", 44100), ("rain", 8000)]):
        samples = (0.2 * rng.standard_normal((2, rate // 2))).astype(np.float32)
        out.append((write_wav(tmp_path / f"{9 - i}.wav", Clip(samples, rate)), label))
    return out


def test_sounds_are_sorted_and_the_background_is_its_name(sounds):
    background = Background("train", sounds)
    assert [(s.label, s.path.name) for s in background.sounds] == [
        ("dog", "7.wav"), ("rain", "6.wav"), ("rain", "8.wav"), ("rain", "9.wav")
    ]  # fmt: skip
    assert [s.path.name for s in Background("x", sounds, keep_order=True).sounds] == [
        "9.wav", "8.wav", "7.wav", "6.wav"
    ]  # fmt: skip
    assert background == Background("train", sounds[::-1]) == pickle.loads(pickle.dumps(background))
    assert hash(background) == hash(Background("train", sounds[::-1]))
    assert background.size(2) == 3
    assert background.digest(9, 0) == background.sha256 != Background("train", sounds, peak=True).sha256
    assert read_background(background) is background
    assert read_background("silence") is None


def test_peaks_at_full_scale_are_those_of_files_written_so(sounds, tmp_path):
    """As a study once did it: scaled copies on disk, listed in a table."""
    rows = ["path,label"]
    for i, sound in enumerate(Background("train", sounds).choose(2, seed=3)):
        source = open_audio(sound.path)
        samples = source.read(0, source.frames)
        write_wav(tmp_path / f"copy{i}.wav", [samples / max(float(np.abs(samples).max()), 1e-8)], source.sample_rate)
        close_audio(source)
        rows.append(f"copy{i}.wav,{sound.label}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    copies = read_background(tmp_path / "list.csv").waveforms(2, 3, 16000, 7000)
    scaled = Background("train", sounds, peak=True).waveforms(2, 3, 16000, 7000)
    plain = Background("train", sounds).waveforms(2, 3, 16000, 7000)
    np.testing.assert_array_equal(scaled, copies)
    assert np.abs(scaled - plain).max() > 0.1


@pytest.mark.parametrize(("name", "some"), [("", True), ("silence", True), ("train", False)])
def test_a_background_has_a_name_and_sounds(sounds, name, some):
    with pytest.raises(ParameterError, match="a name other than 'silence' and at least one sound"):
        Background(name, sounds if some else ())


def test_a_sound_that_is_gone_is_named(sounds):
    background = Background("train", sounds)
    sounds[0][0].unlink()
    with pytest.raises(ParameterError, match=r"9\.wav, a sound of the background, cannot be read"):
        background.digest(5, 0)
    with pytest.raises(ParameterError, match=r"9\.wav"):
        background.waveforms(5, 0, 16000, 100)
