from __future__ import annotations

import errno
import io
import os
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from otoscope.audio import encode, load_audio, open_audio, write_wav
from otoscope.core.errors import AudioReadError, ParameterError, ShapeError, UnknownNameError, WriteError
from otoscope.core.records import Clip

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=70)
FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)


@given(samples=hnp.arrays(np.float32, SHAPES, elements=FLOATS), rate=st.integers(100, 1_000_000))
@settings(deadline=None, max_examples=60)
def test_what_is_written_is_read_to_the_bit(tmp_path_factory, samples, rate):
    path = tmp_path_factory.mktemp("round") / "x.wav"
    assert write_wav(path, Clip(samples, rate)) == path
    read = load_audio(path)
    assert read.sample_rate == rate
    np.testing.assert_array_equal(read.samples, samples)
    other, other_rate = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(other.T, samples)
    assert other_rate == rate


@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_blocks_are_joined(tmp_path_factory, data):
    samples = data.draw(hnp.arrays(np.float32, SHAPES, elements=st.floats(-1, 1, width=32)))
    cuts = sorted(data.draw(st.lists(st.integers(0, samples.shape[1]), max_size=5)))
    path = tmp_path_factory.mktemp("blocks") / "x.wav"
    write_wav(path, (b for b in np.split(samples, cuts, axis=1)), 8000)
    np.testing.assert_array_equal(load_audio(path).samples, samples)


def test_arrays_and_streams_are_written(tmp_path, make_file, sweep):
    clip = load_audio(make_file("flac16"))
    with open_audio(clip.source, in_memory_s=0) as source:
        write_wav(tmp_path / "a.wav", source)
    write_wav(tmp_path / "b.wav", clip.samples, 48_000)
    write_wav(tmp_path / "c.wav", clip.samples.astype(np.float64), 48_000)
    write_wav(tmp_path / "d.wav", clip)
    contents = {(tmp_path / f"{n}.wav").read_bytes() for n in "abcd"}
    assert len(contents) == 1
    assert load_audio(tmp_path / "a.wav").digest() == clip.digest()


def test_the_same_sound_gives_the_same_bytes_in_any_blocks(tmp_path, sweep, monkeypatch):
    write_wav(tmp_path / "a.wav", Clip(sweep(5000), 8000))
    monkeypatch.setattr("otoscope.audio.write.BLOCK_VALUES", 64)
    write_wav(tmp_path / "b.wav", Clip(sweep(5000), 8000))
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_ffmpeg_and_the_standard_reader_agree(tmp_path, sweep):
    import av

    for channels in (1, 2, 6):
        path = write_wav(tmp_path / "x.wav", Clip(sweep(5000, channels), 8000))
        with av.open(str(path)) as container:
            got = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
        np.testing.assert_array_equal(got.reshape(-1, channels).T, sweep(5000, channels))
        info = soundfile.info(path)
        assert (info.format, info.subtype) == ("WAV" if channels < 3 else "WAVEX", "FLOAT")


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_file_too_long_for_riff_is_an_rf64(tmp_path, sweep, monkeypatch, channels):
    monkeypatch.setattr("otoscope.audio.write.LARGEST_RIFF", 1000)
    small = write_wav(tmp_path / "small.wav", Clip(sweep(10, 1), 8000))
    assert small.read_bytes()[:4] == b"RIFF"
    path = write_wav(tmp_path / "x.wav", Clip(sweep(5000, channels), 8000))
    data = path.read_bytes()
    assert data[:8] == b"RF64\xff\xff\xff\xff"
    assert struct.unpack("<QQQ", data[20:44]) == (len(data) - 8, 5000 * 4 * channels, 5000)
    assert soundfile.info(path).format == "RF64"
    np.testing.assert_array_equal(load_audio(path).samples, sweep(5000, channels))
    (tmp_path / "cut.wav").write_bytes(data[:-100])
    with pytest.raises(AudioReadError, match=f"promises {5000 * 4 * channels} bytes"):
        load_audio(tmp_path / "cut.wav")


def test_riff_lengths_are_right(tmp_path, sweep):
    data = write_wav(tmp_path / "x.wav", Clip(sweep(333), 8000)).read_bytes()
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    at = data.index(b"data")
    assert struct.unpack("<I", data[at + 4 : at + 8])[0] == 333 * 8 == len(data) - at - 8


# --- whole or not at all ------------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path):
    """A file that is there already, and must stay if writing fails; nothing else may be left beside it."""
    path = tmp_path / "out" / "x.wav"
    path.parent.mkdir()
    path.write_bytes(b"old")
    yield path
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["x.wav"]


def blocks_then(error, sweep):
    yield sweep(1000)
    raise error


def test_a_full_disk(old, sweep, monkeypatch):
    real = open

    def full(file, mode="r", *args, **more):
        return real("/dev/full" if "w" in mode else file, mode, *args, **more)

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(WriteError, match=r"x\.wav: No space left on device"):
        write_wav(old, Clip(sweep(100_000), 8000))
    with pytest.raises(WriteError, match="No space left on device"):  # found out only when the file is closed
        write_wav(old, Clip(sweep(10), 8000))


def test_a_disk_that_fills_up_at_the_last_step(old, sweep, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(WriteError, match="Disk quota exceeded"):
        write_wav(old, Clip(sweep(10), 8000))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("mine"), SystemExit(3)])
def test_an_interrupt_or_the_callers_own_error(old, sweep, error):
    with pytest.raises(type(error)):
        write_wav(old, blocks_then(error, sweep), 8000)


def test_an_error_of_the_source_stays_one(old, make_file, sweep):
    samples = sweep(2000)
    samples[0, 1700] = np.nan
    with open_audio(make_file("float", samples), in_memory_s=0) as source:
        with pytest.raises(AudioReadError, match="NaN") as caught:
            write_wav(old, source)
    assert not isinstance(caught.value, WriteError)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_nan_is_not_written(old, bad):
    with pytest.raises(WriteError, match="1 of the samples from 3 on are NaN or infinite"):
        write_wav(old, [np.zeros((1, 3)), np.array([[0.0, bad]])], 8000)


def test_nothing_to_write(old):
    for nothing in (np.zeros((1, 0)), [], Clip(np.zeros((2, 0)), 8000)):
        with pytest.raises(WriteError, match="no samples"):
            write_wav(old, nothing, 8000)


def test_blocks_that_do_not_fit(old):
    with pytest.raises(ShapeError, match=r"shape \(2, 5\); \(1, time\)"):
        write_wav(old, [np.zeros((1, 5)), np.zeros((2, 5))], 8000)
    with pytest.raises(ShapeError, match=r"\(channel, time\)"):
        write_wav(old, np.zeros(5), 8000)
    with pytest.raises(WriteError, match="1025 channels"):
        write_wav(old, np.zeros((1025, 1)), 8000)
    with pytest.raises(ParameterError, match="int16"):
        write_wav(old, np.zeros((1, 5), dtype=np.int16), 8000)


def test_rates_and_things_that_cannot_be_written(old):
    with pytest.raises(ParameterError, match="sample_rate=44100"):
        write_wav(old, np.zeros((1, 5)))
    with pytest.raises(ParameterError, match="got 1 Hz"):
        write_wav(old, np.zeros((1, 5)), 1)
    with pytest.raises(ParameterError, match=r"8000 Hz, but sample_rate=100"):
        write_wav(old, Clip(np.zeros((1, 5)), 8000), 100)
    with pytest.raises(ParameterError, match="got a int"):
        write_wav(old, 5, 8000)


def test_paths_that_cannot_be_written(tmp_path, sweep):
    clip = Clip(sweep(10), 8000)
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "x.wav", "/proc/nowhere/x.wav", "a\0.wav", tmp_path / ("x" * 300)):
        with pytest.raises(WriteError):
            write_wav(path, clip)
    with pytest.raises(ParameterError, match="path"):
        write_wav(None, clip)
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_folders_are_made_and_the_file_may_be_read_by_all(tmp_path, sweep):
    old_mask = os.umask(0o022)
    try:
        path = write_wav(tmp_path / "a" / "b" / "x.wav", Clip(sweep(10), 8000))
    finally:
        os.umask(old_mask)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_may_be_written_over_itself(tmp_path, sweep):
    path = write_wav(tmp_path / "x.wav", Clip(sweep(1000), 8000))
    with open_audio(path, in_memory_s=0) as source:
        write_wav(path, source)
    np.testing.assert_array_equal(load_audio(path).samples, sweep(1000))


# --- encode -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "subtype", "error"), [("FLAC", None, 2e-5), ("flac", "PCM_24", 2e-7), ("WAV", "FLOAT", 0)]
)
@pytest.mark.parametrize("loudest", [0.25, 1.0, 3.0])
def test_encode_gives_the_sound_and_its_gain(sweep, form, subtype, error, loudest):
    sound = sweep(5000) * np.float32(loudest / np.abs(sweep(5000)).max())
    data, gain = encode(sound, 48_000, form, subtype)
    decoded, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    assert rate == 48_000
    assert gain == pytest.approx(max(1.0, loudest))
    np.testing.assert_allclose(decoded.T * gain, sound, atol=2 * error * gain + 1e-6)


def test_long_sounds_are_encoded_as_vorbis_and_mp3(sweep):
    for form in ("OGG", "MP3"):
        data, _ = encode(sweep(1_500_000), 48_000, form)
        assert load_audio(data).frames == 1_500_000


def test_encode_says_what_a_format_cannot_hold(sweep):
    with pytest.raises(ParameterError, match=r"FLAC cannot hold 100 channels.*format='WAV'"):
        encode(sweep(10, 100), 8000)
    with pytest.raises(ParameterError, match="FLAC MP3 cannot hold"):
        encode(sweep(10), 8000, "FLAC", "MP3")
    with pytest.raises(UnknownNameError, match="did you mean 'FLAC'"):
        encode(sweep(10), 8000, "flacc")
    with pytest.raises(ShapeError, match=r"\(5,\)"):
        encode(np.zeros(5), 8000)
    with pytest.raises(ParameterError, match="NaN"):
        encode(np.full((1, 5), np.nan), 8000)
    with pytest.raises(ParameterError, match="got 1 Hz"):
        encode(sweep(10), 1)
