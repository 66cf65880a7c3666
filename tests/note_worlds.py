"""A folder of recorded notes that tests make: two instruments whose pitches and timbres are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 44100
LOW = {"contrabass": (28, 33, 38, 43, 48, 53), "organ": (36, 42, 48, 54, 60, 66, 72)}


def write_notes(folder: Path, notes: dict[str, tuple[int, ...]] = LOW, seconds: float = 1.5, lead: float = 0.1) -> Path:
    """``notes.csv`` and a file for each note: silence for ``lead`` seconds, then five harmonics (the organ: odd ones) that fade."""
    rows = ["filename,instrument,note_in_name,midi_of_name,midi_sounding"]
    for instrument, numbers in notes.items():
        (folder / instrument).mkdir(parents=True, exist_ok=True)
        for midi in numbers:
            t = np.arange(round(seconds * RATE)) / RATE
            hertz, partials = 440 * 2 ** ((midi - 69) / 12), (1, 3, 5) if instrument == "organ" else (1, 2, 3, 4, 5)
            sound = sum(np.sin(2 * np.pi * hertz * n * t) / n for n in partials) * np.exp(-t)
            sound = np.concatenate([np.zeros(round(lead * RATE)), 0.2 * sound]).astype(np.float32)
            soundfile.write(folder / instrument / f"{midi}.wav", sound, RATE, subtype="FLOAT")
            rows.append(f"{instrument}/{midi}.wav,{instrument},x,{midi},{midi}")
    (folder / "notes.csv").write_text("\n".join(rows) + "\n")
    return folder


def pitch_of(sound: np.ndarray, rate: int) -> float:
    """The pitch of a harmonic sound, in Hz: the lowest strong peak of its spectrum, by parabola."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 4 * len(sound)))
    peaks = (
        np.flatnonzero((power[1:-1] > power[:-2]) & (power[1:-1] > power[2:]) & (power[1:-1] > 0.3 * power.max())) + 1
    )
    at = int(peaks[0])
    a, b, c = np.log(power[at - 1 : at + 2])
    return float((at + (a - c) / (2 * (a - 2 * b + c))) * rate / (4 * len(sound)))
