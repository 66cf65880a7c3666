"""The one door for sound: decode, encode, resample, mix, level, cut into windows and join.

Axes: samples ``(channel, time)``, float32, full scale 1. Units: sample rates in Hz, positions in samples (``start``,
``stop``, ``frames``), durations in seconds (``_s``), levels in dB re full scale. A sample rate travels with its
samples, and what is done to a clip (resampled, downmixed) is written into its ``notes``. Whatever cannot be read raises
`AudioReadError`, whatever cannot be written `WriteError`; no error of a foreign library gets through.
"""

from otoscope.audio.level import is_silent, level_gain, mix, peak, rms, rms_db
from otoscope.audio.load import load_audio
from otoscope.audio.resample import downmix, resample, to_mono, to_rate
from otoscope.audio.source import AudioSource, FileSource, close_audio, open_audio
from otoscope.audio.windows import (
    LISTENING_OVERLAP_S,
    LISTENING_WINDOW_S,
    Span,
    crossfade,
    fit_length,
    plan,
    plan_listening,
)
from otoscope.audio.write import encode, write_wav

__all__ = [
    "LISTENING_OVERLAP_S", "LISTENING_WINDOW_S", "AudioSource", "FileSource", "Span", "close_audio", "crossfade", "downmix",
    "encode", "fit_length", "is_silent", "level_gain", "load_audio", "mix", "open_audio", "peak", "plan", "plan_listening",
    "resample", "rms", "rms_db", "to_mono", "to_rate", "write_wav",
]  # fmt: skip
