"""The cache of decoded clips: right samples, damage, several processes, a disk that refuses."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from otoscope.audio import load_audio, resample
from otoscope.core.errors import AudioReadError, ParameterError
from otoscope.datasets import Example, cache, decoded, waveform

RATE = 8000


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """As in a new process."""

    def forget():
        for memory in (cache._known, cache._checked, cache._warned):
            memory.clear()

    forget()
    yield forget
    forget()


def sound(path, frames=2000, channels=1, seed=0, rate=RATE):
    samples = 0.2 * np.random.default_rng(seed).standard_normal((frames, channels))
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def entries(folder):
    return sorted(Path(folder).rglob("*.f32"))


def slow(path, rate):
    """The slow twin: decode, mean of the channels, resample."""
    samples, own = soundfile.read(path, always_2d=True)
    mono = np.array([sum(frame) / len(frame) for frame in samples])
    return resample(mono[None], own, rate)[0]


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("rate", [RATE, 16000, 5512])
def test_it_is_the_sound_at_the_rate(tmp_path, channels, rate):
    path = sound(tmp_path / "a.wav", channels=channels)
    first, second = (decoded(path, rate, tmp_path / "c") for _ in range(2))
    plain = decoded(path, rate, False)
    for samples in (first, second, plain):
        assert samples.dtype == np.float32
        assert samples.ndim == 1
        assert not samples.flags.writeable
        np.testing.assert_allclose(samples, slow(path, rate), atol=2e-6)
        np.testing.assert_array_equal(samples, first)
    assert len(entries(tmp_path / "c")) == 1


def test_an_entry_is_samples_and_a_trailer(tmp_path):
    path = sound(tmp_path / "a.wav", frames=7)
    samples = decoded(path, RATE, tmp_path / "c")
    raw = entries(tmp_path / "c")[0].read_bytes()
    assert raw[:28] == samples.tobytes()
    assert raw[28:36] == b"otoscope"
    assert struct.unpack("<IQI", raw[36:52]) == (RATE, 7, zlib.crc32(samples.tobytes()))


def test_the_second_time_nothing_is_decoded(tmp_path, monkeypatch):
    path = sound(tmp_path / "a.wav")
    decoded(path, RATE, tmp_path / "c")
    monkeypatch.setattr(cache, "load_audio", lambda _: pytest.fail("decoded again"))
    decoded(path, RATE, tmp_path / "c")
    moved = path.rename(tmp_path / "b.wav")
    assert len(decoded(moved, RATE, tmp_path / "c")) == 2000  # known by its content


def test_the_index_spares_the_hash_of_a_settled_file(tmp_path, monkeypatch, fresh):
    path = sound(tmp_path / "a.wav")
    monkeypatch.setattr(cache.time, "time", lambda: path.stat().st_ctime + 60)
    decoded(path, RATE, tmp_path / "c")
    fresh()
    monkeypatch.setattr(cache.hashlib, "sha256", _only_names(cache.hashlib.sha256))
    assert len(decoded(path, RATE, tmp_path / "c")) == 2000


def _only_names(real):
    return lambda *data: real(*data) if data else pytest.fail("hashed again")


def test_a_young_file_is_not_trusted_by_its_stamp(tmp_path):
    path = sound(tmp_path / "a.wav")
    decoded(path, RATE, tmp_path / "c")
    assert not list((tmp_path / "c").rglob("index.txt"))


def test_a_damaged_index_is_passed_over(tmp_path, monkeypatch, fresh):
    path = sound(tmp_path / "a.wav")
    monkeypatch.setattr(cache.time, "time", lambda: path.stat().st_ctime + 60)
    want = decoded(path, RATE, tmp_path / "c").copy()
    index = next((tmp_path / "c").rglob("index.txt"))
    line = index.read_text().strip()
    for text in ("\x00\xff\n\nnonsense 1 2 3", line[:-1], line.replace(" ", " x", 1), line[:40]):
        index.write_text(text, encoding="latin-1")
        fresh()
        np.testing.assert_array_equal(decoded(path, RATE, tmp_path / "c"), want)
    assert index.read_text(encoding="latin-1").endswith(line)


def test_a_changed_file_is_decoded_anew_even_with_its_old_time(tmp_path, monkeypatch):
    path = sound(tmp_path / "a.wav", seed=1)
    monkeypatch.setattr(cache.time, "time", lambda: path.stat().st_ctime + 60)
    before, stat = decoded(path, RATE, tmp_path / "c").copy(), path.stat()
    sound(path, seed=2)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = decoded(path, RATE, tmp_path / "c")
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, load_audio(path).samples[0])


@pytest.mark.parametrize(
    "harm",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: b"",
        lambda raw: raw[:32],
        lambda raw: raw + b"\0",
        lambda raw: bytes([raw[0] ^ 1]) + raw[1:],
        lambda raw: raw[:4000] + bytes([raw[4000] ^ 64]) + raw[4001:],
        lambda raw: raw[:-32] + b"x" + raw[-31:],
        lambda raw: raw[:-24] + struct.pack("<I", 44100) + raw[-20:],
        lambda raw: raw[:-20] + struct.pack("<Q", 2**40) + raw[-12:],
        lambda raw: raw[:-12] + b"\0\0\0\0" + raw[-8:],
    ],
)
@pytest.mark.parametrize("same_process", [True, False])
def test_a_damaged_entry_is_made_again(tmp_path, fresh, harm, same_process):
    path = sound(tmp_path / "a.wav")
    want = decoded(path, RATE, tmp_path / "c").copy()
    entry = entries(tmp_path / "c")[0]
    whole = entry.read_bytes()
    entry.unlink()
    entry.write_bytes(harm(whole))
    if not same_process:
        fresh()
    np.testing.assert_array_equal(decoded(path, RATE, tmp_path / "c"), want)
    assert entry.read_bytes() == whole


def _work(arguments):
    paths, folder = arguments
    return [zlib.crc32(decoded(p, RATE, folder).tobytes()) for p in paths]


def test_four_processes_at_once(tmp_path):
    paths = [sound(tmp_path / f"{i}.wav", seed=i) for i in range(12)]
    context = multiprocessing.get_context("forkserver")  # which imports torch once
    context.set_forkserver_preload(["otoscope.datasets.cache"])
    with context.Pool(4) as pool:
        sums = pool.map(_work, [(paths, tmp_path / "c")] * 4, chunksize=1)
    want = [zlib.crc32(load_audio(p).samples.tobytes()) for p in paths]
    assert sums == [want] * 4
    assert len(entries(tmp_path / "c")) == 12
    assert not [p for p in (tmp_path / "c").rglob("*") if p.name.endswith(".part")]


def test_many_clips_hold_no_file_handles(tmp_path):
    paths = [sound(tmp_path / f"{i}.wav", frames=10, seed=i) for i in range(40)]
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    held = [decoded(p, RATE, tmp_path / "c") for p in paths]
    assert len(held) == 40
    if before:
        assert len(os.listdir("/proc/self/fd")) < before + 5
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0


def test_a_folder_that_cannot_be_written_gives_one_warning(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    paths = [sound(tmp_path / f"{i}.wav", seed=i) for i in range(3)]
    with caplog.at_level(logging.WARNING):
        for path in paths:
            np.testing.assert_array_equal(decoded(path, RATE, blocked / "c"), load_audio(path).samples[0])
    assert len(caplog.records) == 1
    assert "OTOSCOPE_CACHE" in caplog.text


def test_a_full_disk_gives_one_warning_and_leaves_nothing(tmp_path, caplog, monkeypatch):
    real = cache.atomic_write

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "atomic_write", full)
    path = sound(tmp_path / "a.wav")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            np.testing.assert_array_equal(decoded(path, RATE, tmp_path / "c"), load_audio(path).samples[0])
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text
    assert entries(tmp_path / "c") == []
    monkeypatch.setattr(cache, "atomic_write", real)
    decoded(path, RATE, tmp_path / "c")
    assert len(entries(tmp_path / "c")) == 1


def test_the_usual_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path / "mine"))
    decoded(sound(tmp_path / "a.wav"), RATE)
    assert len(entries(tmp_path / "mine" / "decoded")) == 1


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.wav").write_bytes(b"")
    for name in ("missing.wav", "text.wav", "empty.wav", "."):
        with pytest.raises(AudioReadError, match="cannot read"):
            decoded(tmp_path / name, RATE, tmp_path / "c")
    with pytest.raises(ParameterError, match="sample_rate"):
        decoded(sound(tmp_path / "a.wav"), 0, tmp_path / "c")


def test_an_example_is_cut_out(tmp_path):
    path = sound(tmp_path / "a.wav")
    whole = load_audio(path).samples[0]
    cut = waveform(Example(path, "a", 0, 1, "s", 0.05, 0.1), RATE, tmp_path / "c")
    np.testing.assert_array_equal(cut, whole[400:800])
    np.testing.assert_array_equal(waveform(Example(path, "a", 0, 1, "s", 0.2), RATE, tmp_path / "c"), whole[1600:])
    with pytest.raises(AudioReadError, match=r"lasts 0\.250 s, but a clip is to be cut from 3 s to 4 s"):
        waveform(Example(path, "a", 0, 1, "s", 3.0, 4.0), RATE, tmp_path / "c")
