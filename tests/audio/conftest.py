"""Sounds in every format, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 48_000
# kind: (suffix, soundfile format, subtype, largest error); soundfile's formats keep their length to the sample
BY_SOUNDFILE = {
    "wav8": ("wav", "WAV", "PCM_U8", 1 / 128),
    "wav16": ("wav", "WAV", "PCM_16", 1 / 32768),
    "wav24": ("wav", "WAV", "PCM_24", 1e-6),
    "wav32": ("wav", "WAV", "PCM_32", 1e-7),
    "float": ("wav", "WAV", "FLOAT", 0.0),
    "double": ("wav", "WAV", "DOUBLE", 0.0),
    "extensible": ("wav", "WAVEX", "PCM_16", 1 / 32768),
    "rf64": ("wav", "RF64", "PCM_16", 1 / 32768),
    "aiff": ("aiff", "AIFF", "PCM_16", 1 / 32768),
    "flac16": ("flac", "FLAC", "PCM_16", 1 / 32768),
    "flac24": ("flac", "FLAC", "PCM_24", 1e-6),
    "vorbis": ("ogg", "OGG", "VORBIS", 0.1),
    "opus": ("opus", "OGG", "OPUS", 0.1),
    "mp3": ("mp3", "MP3", "MPEG_LAYER_III", 0.1),
}
# kind: (suffix, codec, muxer options)
BY_AV = {
    "m4a": ("m4a", "aac", {}),
    "faststart": ("m4a", "aac", {"movflags": "faststart"}),
    "aac": ("aac", "aac", {}),
    "mp4": ("mp4", "aac", {}),
    "webm": ("webm", "libopus", {}),
    "mka": ("mka", "flac", {}),
    "alac": ("m4a", "alac", {}),
    "bare_mp3": ("mp3", "libmp3lame", {"write_xing": "0"}),
}
KINDS = [*BY_SOUNDFILE, *BY_AV]


def tone(frames: int = RATE, channels: int = 2, rate: int = RATE) -> np.ndarray:
    """A sweep and its softer, shifted twin, ``(channel, time)``: no two places are alike."""
    time = np.arange(frames) / rate
    return np.stack(
        [0.5 * np.sin(2 * np.pi * (300 + 150 * time) * time + c) / (c + 1) for c in range(channels)]
    ).astype(np.float32)


def write_with_av(path: Path, samples: np.ndarray, rate: int, codec: str, options: dict[str, str]) -> None:
    """Encode with FFmpeg; skips where it has no such codec."""
    import av

    if codec not in av.codecs_available:
        pytest.skip(f"FFmpeg has no {codec} here")
    layout = {1: "mono", 2: "stereo"}[samples.shape[0]]
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        form = stream.codec_context.codec.audio_formats[0].name
        whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
        whole.sample_rate, whole.pts = rate, 0
        queue = av.AudioFifo()
        for frame in av.AudioResampler(format=form, layout=layout, rate=rate).resample(whole):
            queue.write(frame)
        step = {"libopus": 960, "libmp3lame": 1152, "alac": 4096, "flac": 4608}.get(codec, 1024)
        while (frame := queue.read(step, partial=True)) is not None:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


ENCODED: dict[tuple, tuple[str, bytes]] = {}


def write_kind(path: Path, kind: str, samples: np.ndarray, rate: int = RATE) -> Path:
    """Write ``samples (channel, time)`` as a file of one of ``KINDS``, encoded once; gives its path."""
    key = (kind, rate, samples.shape, hash(samples.tobytes()))
    if key not in ENCODED:
        made = encode(path, kind, samples, rate)
        ENCODED[key] = made.suffix, made.read_bytes()
        return made
    suffix, content = ENCODED[key]
    path = path.with_suffix(suffix)
    path.write_bytes(content)
    return path


def encode(path: Path, kind: str, samples: np.ndarray, rate: int) -> Path:
    """Write the file anew."""
    if kind in BY_AV:
        suffix, codec, options = BY_AV[kind]
        path = path.with_suffix("." + suffix)
        write_with_av(path, samples, rate, codec, options)
        return path
    suffix, form, subtype, _ = BY_SOUNDFILE[kind]
    path = path.with_suffix("." + suffix)
    with soundfile.SoundFile(path, "w", rate, samples.shape[0], subtype, format=form) as file:
        for start in range(0, samples.shape[1], 8192):
            file.write(samples[:, start : start + 8192].T)
    return path


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    """``make_file(kind, samples=tone(), rate=RATE) -> Path``."""

    def make(kind: str, samples: np.ndarray | None = None, rate: int = RATE, name: str = "sound") -> Path:
        return write_kind(tmp_path / name, kind, tone() if samples is None else samples, rate)

    return make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the argument ``kind`` runs on every format, one with ``soundfile_kind`` on soundfile's."""
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", KINDS)
    if "soundfile_kind" in metafunc.fixturenames:
        metafunc.parametrize("soundfile_kind", list(BY_SOUNDFILE))


@pytest.fixture
def sweep() -> Callable[..., np.ndarray]:
    """`tone`."""
    return tone


@pytest.fixture
def tolerance() -> Callable[[str], float]:
    """The largest error of a format."""
    return lambda kind: BY_SOUNDFILE[kind][3]
