"""Music by code: drums, a bass line and chords that go together, each a kind of sound with exact events.

All keep time at 120 beats a minute from the start of the clip, and go through the same four chords (the first, sixth, third and
seventh of a minor key), two beats each; so a scene of several of them is a piece. The seed of a scene draws the key, the same for
all of them, how hard notes are struck, noise, and the tuning by cents. Bass and chords are drawn, or played with recorded notes:
the bass by a contrabass if the notes include one, the chords by an instrument drawn from the seed.
"""

from __future__ import annotations

import numpy as np

from otoscope.core.errors import ParameterError
from otoscope.datasets.notes import Notes
from otoscope.datasets.scenes.synthesis import Array, Canvas, arc, band, tilted

BEAT = 0.5
CHORDS = ((0, 3, 7), (-4, 0, 3), (-9, -5, -2), (-2, 2, 5))  # semitones from the root of the key
A1, A3 = 33, 57  # MIDI
BASS = "contrabass"


def _beats(canvas: Canvas, first: float, every: float) -> list[float]:
    """Onsets at a distance, in beats."""
    return [float(b * BEAT) for b in np.arange(first, canvas.duration / BEAT, every)]


def _chord(canvas: Canvas, onset: float) -> list[int]:
    """The notes of the chord at that time, in semitones from A, within an octave."""
    steps = CHORDS[int(round(onset / BEAT, 6) // 2) % len(CHORDS)]
    return [(step + canvas.key) % 12 for step in steps]


def _hertz(midi: float) -> float:
    return float(440 * 2 ** ((midi - 69) / 12))


def _player(canvas: Canvas, notes: Notes, lowest: int, highest: int, first: str = "") -> str:
    """An instrument whose recorded notes reach all of a range: the first if it does, else one that the seed draws."""
    able = [i for i in notes.instruments if all(notes.reaches(i, m) for m in range(lowest, highest + 1))]
    if not able:
        raise ParameterError(
            f"{canvas.label} needs an instrument with notes near MIDI {lowest} to {highest}; {notes.root} has "
            f"{', '.join(notes.instruments)}, none of which reaches all of them"
        )
    return first if first in able else able[int(canvas.player * len(able))]


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
    player = _player(canvas, canvas.notes, A1, A1 + 18, BASS) if canvas.notes else ""
    for i, onset in enumerate(_beats(canvas, 0, 0.5)):
        midi = A1 + _chord(canvas, onset)[0] + (7 if i % 2 else 0)
        t = canvas.times(onset, 0.24)
        if canvas.notes:
            sound = _played(canvas, canvas.notes, player, midi, len(t)) * np.clip((0.24 - t) / 0.05, 0, 1)
        else:
            plucked = canvas.harmonics(np.full(len(t), _hertz(midi)), tilted(np.ones_like, -14.0, 60), most=8)
            sound = plucked * arc(t, 0.24, 0.008, 0.05) * np.exp(-t / 0.2)
        canvas.add(onset, canvas.uniform(0.8, 1.0) * sound)
        canvas.mark(onset, onset + 0.24, 30 if player else 40, 1500 if player else 500)


def chord_pad(canvas: Canvas) -> None:
    """Held chords, two beats each, of soft harmonic tones."""
    player = _player(canvas, canvas.notes, A3, A3 + 11) if canvas.notes else ""
    for onset in _beats(canvas, 0, 2):
        t = canvas.times(onset, 2 * BEAT)
        envelope, cents = arc(t, 2 * BEAT, 0.06, 0.08), canvas.uniform(-5, 5)
        for semitone in _chord(canvas, onset):
            midi = A3 + semitone + cents / 100
            if canvas.notes:
                sound = _played(canvas, canvas.notes, player, midi, len(t)) * np.clip((2 * BEAT - t) / 0.08, 0, 1)
            else:
                soft = tilted(np.ones_like, -9.0, 300)
                sound = canvas.harmonics(np.full(len(t), _hertz(midi)), soft, most=10) * envelope
            canvas.add(onset, sound)
        canvas.mark(onset, onset + 2 * BEAT, 180, 5000 if player else 2500)


def _played(canvas: Canvas, notes: Notes, player: str, midi: float, count: int) -> Array:
    """So many samples of a recorded note."""
    return notes.play(player, midi, (count + 0.5) / canvas.sample_rate, canvas.sample_rate)[:count]
