from __future__ import annotations

import gc
import io
import tempfile
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otoscope.audio import AudioSource, FileSource, close_audio, load_audio, open_audio, write_wav
from otoscope.core.errors import AudioReadError, ParameterError, ShapeError
from otoscope.core.records import Clip


def test_parts_of_a_stream_are_parts_of_the_whole_in_every_format(make_file, sweep, kind):
    path = make_file(kind, sweep(100_000))
    whole = load_audio(path)
    rng = np.random.default_rng(0)
    with open_audio(path, in_memory_s=0) as source:
        assert isinstance(source, FileSource)
        assert (source.frames, source.channels, source.sample_rate) == (whole.frames, whole.channels, whole.sample_rate)
        assert (source.duration, source.source, source.notes) == (whole.duration, whole.source, whole.notes)
        for start in [0, whole.frames - 1, *map(int, rng.integers(-50, whole.frames + 50, 40))]:  # in any order
            stop = start + int(rng.integers(0, 5000))
            np.testing.assert_array_equal(source.read(start, stop), whole.read(start, stop))
        assert source.digest() == whole.digest()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    samples = np.random.default_rng(0).uniform(-1, 1, (3, 500)).astype(np.float32)
    path = write_wav(tmp_path_factory.mktemp("both") / "x.wav", Clip(samples, 8000))
    with open_audio(path, in_memory_s=0) as source:
        yield source, Clip(samples, 8000)


@given(start=st.integers(-600, 1200), length=st.integers(0, 1500))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_lies_outside_is_silence(both, start, length):
    source, clip = both
    part = source.read(start, start + length)
    assert part.dtype == np.float32
    np.testing.assert_array_equal(part, clip.read(start, start + length))


def test_a_short_sound_is_a_clip_and_a_long_one_a_stream(make_file, kind):
    path = make_file(kind)
    for source, given_ in ((open_audio(path), path), (open_audio(path, in_memory_s=2.0), path)):
        assert isinstance(source, Clip)
        assert source.digest() == load_audio(given_).digest()
    long = open_audio(path, in_memory_s=0.5)
    assert isinstance(long, FileSource)
    close_audio(long)


def test_both_kinds_are_audio_sources(make_file):
    path = make_file("flac16")
    with open_audio(path, in_memory_s=0) as source:
        assert isinstance(source, AudioSource)
        assert open_audio(source) is source
    assert isinstance(load_audio(path), AudioSource)
    close_audio(load_audio(path))


def test_bytes_and_dicts_stream_too(make_file, kind):
    path = make_file(kind)
    data, digest = path.read_bytes(), load_audio(path).digest()
    for given_ in (data, io.BytesIO(data), {"bytes": data, "path": "a"}, {"path": str(path)}):
        with open_audio(given_, in_memory_s=0) as source:
            assert source.digest() == digest


def test_digests_tell_sounds_apart():
    samples = np.arange(12, dtype=np.float32).reshape(2, 6)
    clips = [
        Clip(samples, 8000),
        Clip(samples, 16_000),
        Clip(samples.reshape(3, 4), 8000),
        Clip(samples + 1, 8000),
        Clip(samples[::-1], 8000),
    ]
    assert len({clip.digest() for clip in clips}) == 5


@pytest.mark.parametrize("values", [1, 7, 1 << 20])
def test_a_digest_does_not_depend_on_the_blocks(both, monkeypatch, values):
    monkeypatch.setattr("otoscope.audio.source.DIGEST_VALUES", values)
    assert both[0].digest() == both[1].digest()


@pytest.mark.parametrize("form", ["flac16", "vorbis"])
def test_a_closed_source_says_so(make_file, form):
    source = open_audio(make_file(form), in_memory_s=0)
    source.read(0, 5)
    source.close()
    source.close()
    with pytest.raises(AudioReadError, match="closed; open it again"):
        source.read(0, 5)


@pytest.mark.parametrize("form", ["wav16", "mp3", "m4a"])
def test_nothing_is_left_of_a_source(make_file, tmp_path, monkeypatch, form):
    spare = tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    path = make_file(form)
    source = open_audio(path, in_memory_s=0)
    source.read(0, 10)
    closing = source._closing
    del source
    gc.collect()
    assert not closing.alive
    assert list(spare.iterdir()) == []
    open_files = [line for line in _open_files() if str(spare) in line or str(path) in line]
    assert open_files == []


def _open_files():
    import os
    from pathlib import Path

    folder = Path("/proc/self/fd")
    if not folder.exists():
        return []
    found = []
    for link in folder.iterdir():
        try:
            found.append(os.readlink(link))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("form", ["vorbis", "webm"])
def test_no_room_for_the_temporary_file(make_file, monkeypatch, form):
    path = make_file(form)

    class Full(io.BytesIO):
        def write(self, _data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_more: Full())
    with pytest.raises(AudioReadError, match=r"No space left on device.*TMPDIR"):
        open_audio(path, in_memory_s=0)

    def refuse(**_more):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(AudioReadError, match=r"Read-only file system.*TMPDIR"):
        open_audio(path, in_memory_s=0)


def test_nan_is_found_when_it_is_read(make_file, sweep):
    samples = sweep(2000)
    samples[1, 1500] = np.nan
    with open_audio(make_file("float", samples), in_memory_s=0) as source:
        source.read(0, 1500)
        with pytest.raises(AudioReadError, match=r"1 of 1200 samples.*at sample 1500 .*channel 1"):
            source.read(1400, 2000)


def test_a_file_that_is_taken_away_or_cut_while_it_is_open(make_file):
    path = make_file("wav16")
    source = open_audio(path, in_memory_s=0)
    path.unlink()
    with pytest.raises(AudioReadError, match="removed"):
        source.read(0, 10)
    path = make_file("wav16")
    source = open_audio(path, in_memory_s=0)
    data = path.read_bytes()
    path.write_bytes(data[:1000])
    with pytest.raises(AudioReadError, match="changed or removed"):
        source.read(40_000, 41_000)


def test_wrong_bounds_and_thresholds(both, make_file):
    with pytest.raises(ShapeError, match="start <= stop; got 5 and 4"):
        both[0].read(5, 4)
    for bad in (-1.0, float("nan")):
        with pytest.raises(ParameterError, match="in_memory_s"):
            open_audio(make_file("wav16"), in_memory_s=bad)
    with pytest.raises(ParameterError, match=r"48000 Hz, but sample_rate=8000"):
        open_audio(make_file("wav16"), 8000, in_memory_s=0)
    with pytest.raises(ParameterError, match=r"8000 Hz, but sample_rate=100"):
        open_audio(both[0], 100)


def test_threads_may_share_a_source(make_file, sweep):
    sound = load_audio(make_file("flac16", sweep(200_000)))
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for start in map(int, rng.integers(0, 190_000, 50)):
            if not np.array_equal(source.read(start, start + 900), sound.samples[:, start : start + 900]):
                wrong.append(start)

    with open_audio(sound.source, in_memory_s=0) as source:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize("form", ["wav16", "mp3"])
def test_memory_does_not_grow_with_the_length(tmp_path, make_file, sweep, form):
    peaks = []
    for seconds in (60, 240):
        path = make_file(form, np.tile(sweep(8000, 1, 8000), seconds), 8000, name=f"s{seconds}")
        tracemalloc.start()
        with open_audio(path, in_memory_s=1) as source:
            source.digest()
            write_wav(tmp_path / "copy.wav", source)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + (8 << 20)
