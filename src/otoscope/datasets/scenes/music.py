"""Music by code: drums, a bass line and chords that go together, each a kind of sound with exact events.

All keep time at 120 beats a minute from the start of the clip, and go through the same four chords of A minor (A minor, F, C, G),
two beats each; so a scene of several of them is a piece. Seeds change how hard notes are struck, noise, and the tuning by cents.
"""

from __future__ import annotations

import numpy as np

from otoscope.datasets.scenes.synthesis import Canvas, arc, band, tilted

BEAT = 0.5
CHORDS = ((0, 3, 7), (-4, 0, 3), (-9, -5, -2), (-2, 2, 5))  # semitones from A
A2 = 110.0


def _beats(canvas: Canvas, first: float, every: float) -> list[float]:
    """Onsets at a distance, in beats."""
    return [float(b * BEAT) for b in np.arange(first, canvas.duration / BEAT, every)]


def _chord(onset: float) -> tuple[int, ...]:
    return CHORDS[int(round(onset / BEAT, 6) // 2) % len(CHORDS)]


def kick_drum(canvas: Canvas) -> None:
    """A bass drum on every beat: a tone that falls from 120 to 50 Hz, with a click."""
    for onset in _beats(canvas, 0, 1):
        t = canvas.times(onset, 0.25)
        hertz = 50 + 70 * np.exp(-t / 0.03)
        body = np.sin(2 * np.pi * canvas.phase(hertz)) * np.exp(-t / 0.09)
        click = 0.05 * canvas.noise(len(t), band(1000, 4000)) * np.exp(-t / 0.003)
        canvas.add(onset, canvas.uniform(0.85, 1.0) * (body + click) * np.clip((0.25 - t) / 0.02, 0, 1))
        canvas.mark(onset, onset + 0.25, 30, 180)


def hi_hat(canvas: Canvas) -> None:
    """A closed hi-hat twice a beat: short bursts of high noise."""
    for onset in _beats(canvas, 0, 0.5):
        t = canvas.times(onset, 0.08)
        canvas.add(onset, canvas.uniform(0.7, 1.0) * canvas.noise(len(t), band(2500, 14000)) * np.exp(-t / 0.02))
        canvas.mark(onset, onset + 0.08, 1500, 16500)


def bass_line(canvas: Canvas) -> None:
    """A plucked bass: the root of the chord on every beat, and its fifth between."""
    for i, onset in enumerate(_beats(canvas, 0, 0.5)):
        chord = _chord(onset)
        pitch = A2 / 2 * 2 ** ((chord[0] % 12 + (7 if i % 2 else 0)) / 12)
        t = canvas.times(onset, 0.24)
        sound = canvas.harmonics(np.full(len(t), pitch), tilted(np.ones_like, -14.0, 60), most=8) * arc(
            t, 0.24, 0.008, 0.05
        )
        canvas.add(onset, canvas.uniform(0.8, 1.0) * sound * np.exp(-t / 0.2))
        canvas.mark(onset, onset + 0.24, 40, 500)


def chord_pad(canvas: Canvas) -> None:
    """Held chords, two beats each, of soft harmonic tones."""
    for onset in _beats(canvas, 0, 2):
        t = canvas.times(onset, 2 * BEAT)
        envelope, tuning = arc(t, 2 * BEAT, 0.06, 0.08), 2 ** (canvas.uniform(-5, 5) / 1200)
        for semitone in _chord(onset):
            pitch = tuning * 2 * A2 * 2 ** ((semitone % 12) / 12)
            canvas.add(
                onset, canvas.harmonics(np.full(len(t), pitch), tilted(np.ones_like, -9.0, 300), most=10) * envelope
            )
        canvas.mark(onset, onset + 2 * BEAT, 200, 2500)
