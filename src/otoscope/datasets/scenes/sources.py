"""The kinds of sound: one builder each, and the table of them.

A builder draws one stem on a `Canvas` and marks its events. Loudness is of no matter here: `render` sets the level.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from otoscope.datasets.scenes.music import bass_line, chord_pad, hi_hat, kick_drum
from otoscope.datasets.scenes.synthesis import (
    TOP_HZ,
    Array,
    Canvas,
    arc,
    band,
    contour,
    even,
    formants,
    glide,
    tilted,
    tract,
)

Builder = Callable[[Canvas], None]


def clock_tick(canvas: Canvas) -> None:
    """A wall clock: tick and tock in turn, each a click of the escapement between two fainter ones."""
    half = 0.65 * canvas.uniform(0.9, 1.1)
    start = canvas.uniform(0.1, 1.0) * min(0.3, 0.2 * canvas.duration)
    modes = [(870, 0.004, 0.44), (1780, 0.0053, 0.7), (2660, 0.0046, 1.0), (3570, 0.0033, 1.0), (5240, 0.002, 0.7)]
    for i in range(int(np.ceil((canvas.duration - start) / half))):
        onset = start + i * half
        t = canvas.times(onset, 0.06)
        lean = 1.0 if i % 2 == 0 else 0.89
        sound = np.zeros(len(t))
        for late, gain in ((0.0, 0.126), (0.014, 1.0), (0.031, 0.107)):
            after = np.maximum(t - late, 0.0)
            struck = canvas.modes(after, [(f * lean, d, g) for f, d, g in modes])
            grit = canvas.noise(len(t), band(1500, 10000)) * np.exp(-after / 0.002)
            sound += gain * canvas.uniform(0.85, 1.0) * (struck + 1.53 * grit) * (t >= late)
        canvas.add(onset, sound)
        canvas.mark(onset, onset + 0.06, 450, 12000)


def siren(canvas: Canvas) -> None:
    """A wailing siren: a horn whose pitch swings slowly up and down."""
    t = canvas.times(0.0, canvas.duration)
    period, shift = canvas.uniform(2.8, 4.5), canvas.uniform(0.0, 0.3)
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * ((t / period + shift) % 1.0) ** 0.8)
    horn = tilted(formants([(1300, 900, 1.0), (2900, 1000, 0.5)], floor=0.12), -6.0, 2500)
    sound = canvas.harmonics(620 + 780 * swing, horn, most=12)
    canvas.add(0.0, sound * (1 + 0.1 * canvas.wander(t, 3.0)))
    canvas.mark(0.0, canvas.duration, 580, 4400)


def bell(canvas: Canvas) -> None:
    """A church bell: hum, prime, minor third, fifth, nominal and the partials above, each dying at its own pace."""
    prime = canvas.uniform(420, 560)
    ratios = [0.5, 1.0, 1.003, 1.19, 1.5, 2.0, 2.006, 2.51, 2.66, 3.01, 4.17, 5.43, 6.79, 8.21]
    gains = [0.8, 0.8, 0.4, 0.7, 0.35, 1.0, 0.4, 0.3, 0.3, 0.4, 0.2, 0.12, 0.08, 0.05]
    decays = [3.0, 2.0, 2.0, 1.6, 1.0, 1.2, 1.2, 0.7, 0.7, 0.7, 0.4, 0.25, 0.2, 0.15]
    for onset in canvas.onsets(1.3, 1.9):
        t = canvas.times(onset, 5.0)
        hit = canvas.uniform(0.75, 1.0)
        partials = [(r * prime, d, g) for r, d, g in zip(ratios, decays, gains, strict=True)]
        clapper = canvas.noise(len(t), band(800, 6000)) * np.exp(-t / 0.008)
        canvas.add(onset, hit * (canvas.modes(t, partials) + 0.5 * clapper) * np.clip((5.0 - t) / 0.5, 0, 1))
        canvas.mark(onset, onset + 5.0, 0.48 * prime, 3.1 * prime)


def bird_chirp(canvas: Canvas) -> None:
    """A small bird: phrases of short whistled sweeps."""
    for onset in canvas.onsets(0.8, 1.3):
        base, count = canvas.uniform(2700, 3500), int(canvas.rng.integers(3, 7))
        bend, length = canvas.uniform(0.15, 0.5), canvas.uniform(0.05, 0.11)
        for i in range(count):
            start = onset + i * (length + 0.035)
            t = canvas.times(start, length)
            rise = glide(t, length, [(0.0, 1.0), (0.35, 1.0 + bend), (1.0, 1.0 - 0.4 * bend)])
            warble = 1 + 0.02 * np.sin(2 * np.pi * 45 * t)
            sound = canvas.harmonics(base * rise * warble, lambda f: (3500 / np.maximum(f, 3500)) ** 3, most=3)
            canvas.add(start, sound * arc(t, length, 0.012, 0.03))
            canvas.mark(start, start + length, 0.97 * base * (1 - 0.4 * bend), 1.03 * base * (1 + bend))


def dog_bark(canvas: Canvas) -> None:
    """A dog: bursts of voice whose pitch jumps up and falls, rough, with breath, through a muzzle's resonances."""
    for onset in canvas.onsets(0.45, 0.95):
        size = 1.27 * canvas.uniform(0.93, 1.07)
        peaks = ((473, 300, 1.0), (1412, 400, 0.8), (2500, 700, 0.4), (4300, 900, 0.2))
        muzzle = tract([(f * size, w, g) for f, w, g in peaks], 0.003, 1.74, 1580, -14)
        length, top = 0.17 * canvas.uniform(0.9, 1.15), 822 * canvas.uniform(0.93, 1.07)
        t = canvas.times(onset, length)
        pitch = top * glide(t, length, [(0.0, 0.79), (0.35, 1.0), (0.65, 0.92), (1.0, 0.87)])
        pitch *= 1 + 0.048 * canvas.wander(t, 180.0)
        voice = even(canvas.harmonics(pitch, muzzle) * (1 + 0.15 * canvas.wander(t, 200.0)))
        breath = even(canvas.noise(len(t), muzzle)) * arc(t, length, 0.006, 0.6 * length)
        canvas.add(onset, (voice + 0.58 * breath) * arc(t, length, 0.04, 0.67 * length))
        canvas.mark(onset, onset + length, 0.5 * top, 2800)
    canvas.reverberate(0.047, 0.43)


def rain(canvas: Canvas) -> None:
    """Rain on leaves and ground: a dense hiss and many single drops, each a tiny burst."""
    t = canvas.times(0.0, canvas.duration)
    count = len(t)
    fall = contour({30: -50, 180: -33, 700: -34, 1400: -38, 3000: -40, 6000: -57, 12000: -74})
    canvas.add(0.0, 1.1 * canvas.noise(count, fall) * (1 + 0.06 * canvas.wander(t, 2.0)))
    for _ in range(int(np.ceil(62 * canvas.duration))):
        onset = canvas.uniform(0.0, canvas.duration)
        gain = min(float(canvas.rng.exponential()) ** 1.75, 4.0)
        centre, decay = 10 ** canvas.uniform(3.09, 3.54), 0.003 * canvas.uniform(0.5, 1.5)
        drop = canvas.times(onset, 6 * decay)
        splash = canvas.noise(len(drop), band(centre / 1.1, centre * 1.1, 1.0)) * np.exp(-drop / decay)
        canvas.add(onset, gain * (splash + 0.18 * canvas.modes(drop, [(centre, decay, 1.0)])))
    canvas.mark(0.0, canvas.duration, 100, 9000)


def sea_waves(canvas: Canvas) -> None:
    """The sea: waves that swell as deep noise, break bright and wash back."""
    t = canvas.times(0.0, canvas.duration)
    count = len(t)
    period, shift = canvas.uniform(5.0, 7.0), canvas.uniform(0.2, 0.4)
    turn = (t / period + shift) % 1.0
    swell = np.interp(turn, [0, 0.35, 0.5, 0.65, 1.0], [0.25, 0.6, 1.0, 0.6, 0.25])
    wash = np.interp(turn, [0, 0.42, 0.55, 0.8, 1.0], [0.1, 0.2, 1.0, 0.4, 0.1])
    deep = contour({50: -34, 90: -30, 180: -28, 370: -29, 700: -30, 1400: -38, 3000: -50})
    bright = contour({400: -36, 800: -30, 1500: -34, 3000: -40, 6000: -48, 12000: -58})
    canvas.add(0.0, canvas.noise(count, deep) * swell * (1 + 0.12 * canvas.wander(t, 7.0)))
    canvas.add(0.0, 0.7 * canvas.noise(count, bright) * wash * (1 + 0.12 * canvas.wander(t, 9.0)))
    canvas.mark(0.0, canvas.duration, 50, 3500)


def wind(canvas: Canvas) -> None:
    """Gusts of wind: deep noise, and a howl whose pitch follows the gusts."""
    t = canvas.times(0.0, canvas.duration)
    count = len(t)
    gust = np.clip(0.6 + 0.35 * canvas.wander(t, 0.7) + 0.1 * canvas.wander(t, 4.0), 0.08, 2.0)
    canvas.add(0.0, canvas.noise(count, contour({40: -26, 120: -22, 300: -27, 800: -37, 2000: -50, 8000: -75})) * gust)
    for start, span, width, gain in ((330, 150, 45, 0.35), (560, 220, 60, 0.16)):
        slow = [canvas.noise(count, contour({1: 0, width: -6, 2 * width: -30})) for _ in range(2)]
        turn = 2 * np.pi * canvas.phase(start + span * gust)
        canvas.add(0.0, gain * (slow[0] * np.cos(turn) + slow[1] * np.sin(turn)) * gust**2)
    canvas.mark(0.0, canvas.duration, 25, 900)


def helicopter(canvas: Canvas) -> None:
    """A helicopter: deep noise and low harmonics that beat with the passing blades, over a turbine."""
    t = canvas.times(0.0, canvas.duration)
    count = len(t)
    blade = canvas.phase(13.9 * canvas.uniform(0.9, 1.1) * (1 + 0.008 * canvas.wander(t, 0.5))) % 1.0
    chop = np.exp(-blade / 0.3) * np.clip(blade / 0.11, 0, 1)
    thump = np.exp(-blade / 0.33) * np.sin(2 * np.pi * 2.6 * blade) * np.clip(blade / 0.03, 0, 1)
    wash = contour({30: -26, 90: -27, 180: -27, 370: -30, 700: -34, 1400: -46, 3000: -52, 6000: -62, 12000: -76})
    canvas.add(0.0, canvas.noise(count, wash) * (0.82 + chop))
    canvas.add(0.0, 0.33 * even(thump))
    turbine = canvas.uniform(95, 120) * (1 + 0.002 * canvas.wander(t, 1.0))
    canvas.add(0.0, 0.6 * even(canvas.harmonics(turbine, lambda f: (100 / np.maximum(f, 100)) ** 1.5, most=12)))
    canvas.mark(0.0, canvas.duration, 10, 900)


def engine(canvas: Canvas) -> None:
    """An engine that runs: firing pulses of uneven strength through an exhaust, and rattle."""
    t = canvas.times(0.0, canvas.duration)
    count = len(t)
    pitch = 58 * canvas.uniform(0.9, 1.1) * (1 + 0.015 * canvas.wander(t, 1.5) + 0.002 * canvas.wander(t, 12.0))
    firing = canvas.phase(pitch)
    exhaust = tilted(formants([(130, 60, 1.0), (225, 100, 0.7), (260, 250, 0.35), (900, 700, 0.15)], 0.02), -4, 600)
    uneven = 1 + 0.24 * np.cos(np.pi * firing) + 0.08 * np.cos(0.5 * np.pi * firing) + 0.23 * canvas.wander(t, 14.0)
    pulse = np.exp(-(firing % 1.0) / 0.22)
    blow = even(canvas.noise(count, tilted(exhaust, 1, 600)) * (0.07 + pulse))
    canvas.add(0.0, (even(canvas.harmonics(pitch, exhaust, most=100)) + 0.2 * blow) * uneven)
    canvas.add(0.0, 0.16 * canvas.noise(count, tilted(band(60, 3000, 0.7), -4, 300)))
    canvas.add(0.0, 0.42 * canvas.noise(count, band(1000, 5000, 1.0)) * (0.3 + pulse) * uneven)
    canvas.mark(0.0, canvas.duration, 45, 4000)


def chainsaw(canvas: Canvas) -> None:
    """A two-stroke chainsaw: a rough voice of uneven strokes that revs up and drops, and the hiss of the chain."""
    t = canvas.times(0.0, canvas.duration)
    count = len(t)
    rev = np.clip(0.5 + 0.2 * canvas.wander(t, 1.2), 0, 1)
    pitch = canvas.uniform(0.95, 1.05) * (80 + 75 * rev) * (1 + 0.022 * canvas.wander(t, 25.0))
    muffler = formants([(297, 80, 1.0), (1036, 215, 0.92), (1700, 700, 0.08), (3300, 1600, 0.11)], 0.02)
    strokes = canvas.phase(pitch)
    uneven = 1 + 0.47 * canvas.wander(strokes, 1.0) + 0.39 * np.cos(np.pi * np.floor(strokes))
    part = strokes % 1.0
    blow = even(canvas.noise(count, muffler) * np.exp(-part / 0.28) * np.clip(part / 0.06, 0, 1))
    engine_part = even(canvas.harmonics(pitch, muffler, most=60)) + 0.61 * blow
    canvas.add(0.0, engine_part * np.maximum(uneven, 0.0) * (0.4 + 0.6 * rev))
    canvas.add(0.0, 0.4 * canvas.noise(count, band(1000, 5000, 1.0)) * rev * (1 + 0.3 * canvas.wander(t, 25.0)))
    canvas.mark(0.0, canvas.duration, 70, 5500)


def crackling_fire(canvas: Canvas) -> None:
    """A wood fire: a deep flutter, a soft hiss, and crackles of very different strength."""
    t = canvas.times(0.0, canvas.duration)
    count = len(t)
    canvas.add(0.0, 0.093 * canvas.noise(count, band(30, 81, 1.0)) * (1 + 0.3 * canvas.wander(t, 5.0)))
    canvas.add(0.0, 0.081 * canvas.noise(count, band(1240, 9000, 0.7)) * (1 + 0.3 * canvas.wander(t, 8.0)))
    for _ in range(int(np.ceil(30 * canvas.duration))):
        onset = canvas.uniform(0.0, canvas.duration)
        strength = min(0.25 * float(canvas.rng.pareto(1.53)) + 0.1, 1.6)
        length, centre = 0.004 * canvas.uniform(0.4, 1.6), 10 ** canvas.uniform(3.23, 3.79)
        snap = canvas.times(onset, 5 * length)
        burst = canvas.noise(len(snap), band(0.4 * centre, 2.5 * centre, 1.0)) * np.exp(-snap / length)
        canvas.add(onset, strength * (burst + canvas.modes(snap, [(centre, 0.5 * length, 0.83)])))
    canvas.mark(0.0, canvas.duration, 10, 16000)


def rooster(canvas: Canvas) -> None:
    """A rooster's crow: one hard, bright, rough voice over steps of pitch, the last long and falling."""
    beak = tract([(820, 268, 0.67), (1910, 405, 1.0), (4290, 900, 0.25), (5700, 1200, 0.6)], 0.037, 2.0, 1100, -7.8)
    steps = [(0, 0.93), (0.1, 1.04), (0.16, 0.76), (0.24, 0.84), (0.3, 0.92), (0.42, 1.0), (0.5, 0.97), (0.58, 1.04)]
    steps += [(0.8, 1.0), (0.92, 0.6), (1, 0.66)]
    loud = [(0, 0), (0.02, 0.7), (0.1, 0.7), (0.135, 0), (0.16, 0.8), (0.23, 0.8), (0.27, 0), (0.31, 1), (0.47, 0.9)]
    loud += [(0.52, 0), (0.56, 1), (0.8, 0.9), (0.93, 0.4), (1, 0)]
    length = 1.3
    for onset in canvas.onsets(2.3, 2.7):
        t = canvas.times(onset, length)
        pitch = 840 * canvas.uniform(0.97, 1.03) * glide(t, length, steps)
        growl = np.cos(np.pi * canvas.phase(pitch * (1 + 0.039 * canvas.wander(t, 90.0))))
        voice = even(canvas.harmonics(pitch * (1 + 0.039 * canvas.wander(t, 90.0)), beak)) * (1 + 0.345 * growl)
        canvas.add(onset, (voice + 0.63 * even(canvas.noise(len(t), beak))) * glide(t, length, loud))
        canvas.mark(onset, onset + length, 500, 2900)
    canvas.reverberate(0.29, 0.6)


def crying_baby(canvas: Canvas) -> None:
    """A baby that cries: long wails whose pitch rises and falls, with a tremor."""
    mouth = tract([(800, 350, 1.0), (3140, 700, 0.39), (5300, 900, 0.35), (8000, 1800, 0.15)], 0.03, 1.32, 820, -7.7)
    for onset in canvas.onsets(1.15, 1.5, latest=0.15):
        length, top = canvas.uniform(0.75, 1.0), 410 * canvas.uniform(0.9, 1.1)
        t = canvas.times(onset, length)
        pitch = top * glide(t, length, [(0, 0.65), (0.2, 0.98), (0.5, 1.04), (0.8, 0.97), (1, 0.56)])
        pitch *= 1 + 0.005 * np.sin(2 * np.pi * 7.5 * t) + 0.014 * canvas.wander(t, 40.0)
        voice = even(canvas.harmonics(pitch, mouth) * (1 + 0.18 * canvas.wander(t, 99.0)))
        canvas.add(onset, (voice + 0.12 * even(canvas.noise(len(t), mouth))) * arc(t, length, 0.08, 0.25))
        canvas.mark(onset, onset + length, 220, 3500)


def sneeze(canvas: Canvas) -> None:
    """A sneeze: a blast of air through the mouth's resonances, and a deep breath that follows."""
    peaks = [(450, 80, 1.0), (750, 100, 1.0), (1300, 165, 1.0), (2400, 200, 0.9), (3400, 265, 0.8), (5000, 460, 0.7)]
    peaks += [(7000, 600, 0.6), (10000, 1300, 0.35)]
    length = 0.45
    for onset in canvas.onsets(2.2, 2.8):
        size = 1.22 * canvas.uniform(0.97, 1.03)
        mouth = tract([(f * size, w, g) for f, w, g in peaks], 0.012, 1.23, 1000, 0)
        t = canvas.times(onset, length)
        burst = (
            np.clip(t / 0.037, 0, 1) * np.exp(-np.maximum(t - 0.06, 0) / 0.083) * (1 + 0.26 * canvas.wander(t, 40.0))
        )
        rest = even(canvas.noise(len(t), formants([(430 * size, 90, 1.0), (700 * size, 150, 0.4)])))
        sound = canvas.noise(len(t), mouth) * burst + 0.54 * rest * np.exp(-(((t - 0.2) / 0.07) ** 2))
        canvas.add(onset, sound * np.clip((length - t) / 0.05, 0, 1))
        canvas.mark(onset, onset + length, 300, 12500)


def knocks(canvas: Canvas) -> None:
    """Knuckles on a wooden door in a room: groups of three to five."""
    door = [
        (95, 0.02, 0.5),
        (173, 0.022, 0.8),
        (291, 0.016, 0.8),
        (437, 0.012, 0.7),
        (618, 0.009, 0.5),
        (905, 0.007, 0.4),
    ]
    for group in canvas.onsets(1.7, 2.4):
        gap = canvas.uniform(0.17, 0.24)
        for i in range(int(canvas.rng.integers(3, 6))):
            onset = group + i * gap * canvas.uniform(0.97, 1.03)
            t = canvas.times(onset, 0.1)
            tap = canvas.noise(len(t), contour({80: -6, 300: 0, 1000: -6, 3000: -18, 8000: -34})) * np.exp(-t / 0.012)
            sound = canvas.modes(t, [(f * canvas.uniform(0.97, 1.03), d, g) for f, d, g in door]) + 1.2 * tap
            canvas.add(
                onset, canvas.uniform(0.75, 1.0) * sound * np.clip((0.1 - t) / 0.03, 0, 1) * np.clip(t / 0.0007, 0, 1)
            )
            canvas.mark(onset, onset + 0.1, 20, 3000)
    canvas.reverberate(0.06, 0.5, top_hz=3000)


def beeps(canvas: Canvas) -> None:
    """An alarm clock: short electronic beeps."""
    hertz, length = canvas.uniform(1000, 1150), 0.12
    for onset in canvas.onsets(0.25, 0.25, latest=0.1):
        t = canvas.times(onset, length)
        sound = canvas.harmonics(np.full(len(t), hertz), lambda f: (1000 / np.maximum(f, 1000)) ** 1.5, most=6)
        canvas.add(onset, sound * arc(t, length, 0.004, 0.006))
        canvas.mark(onset, onset + length, 0.95 * hertz, 2.1 * hertz)


def hum(canvas: Canvas) -> None:
    """Mains hum: 50 Hz and its harmonics up to 2 kHz, the even ones strong, with a little hiss."""
    t = canvas.times(0.0, canvas.duration)
    for k in range(1, 41):
        gain = (1.0 if k % 2 == 0 else 0.45) * (k / 2) ** -1.1 if k > 1 else 0.5
        turn = canvas.uniform(0.0, 1.0)
        if 50 * k < canvas.top_hz:
            canvas.add(0.0, gain * np.sin(2 * np.pi * (50 * k * t + turn)))
    canvas.add(0.0, 0.02 * canvas.noise(len(canvas.samples), band(100, 6000, 1.0)))
    canvas.mark(0.0, canvas.duration, 40, 620)


def click_train(canvas: Canvas) -> None:
    """Even clicks: short bursts that hold all frequencies up to 6 kHz."""
    gap = 1 / canvas.uniform(8, 14)
    start = min(0.02, 0.1 * canvas.duration)
    for i in range(int(np.ceil((canvas.duration - start) / gap))):
        onset = start + i * gap
        t = canvas.times(onset, 0.006)
        canvas.add(onset, canvas.modes(t, [(f, 0.0012, 1.0) for f in (900, 1900, 2900, 3900, 4900)]))
        canvas.mark(onset, onset + 0.006, 100, 7000)


def tone(canvas: Canvas) -> None:
    """A pure tone."""
    hertz = 10 ** canvas.uniform(2.6, 3.3)
    canvas.add(0.0, np.sin(2 * np.pi * hertz * canvas.times(0.0, canvas.duration)))
    canvas.mark(0.0, canvas.duration, 0.97 * hertz, 1.03 * hertz)


def white_noise(canvas: Canvas) -> None:
    """White noise up to 20 kHz."""
    canvas.add(0.0, canvas.noise(len(canvas.samples), np.ones_like))
    canvas.mark(0.0, canvas.duration, 0, TOP_HZ)


def pink_noise(canvas: Canvas) -> None:
    """Pink noise from 20 Hz to 20 kHz: the same power in every octave."""

    def shape(f: Array) -> Array:
        return np.where(f >= 20, 1 / np.sqrt(f), 0.0)

    canvas.add(0.0, canvas.noise(len(canvas.samples), shape))
    canvas.mark(0.0, canvas.duration, 20, TOP_HZ)


SOUNDS: dict[str, Builder] = {
    builder.__name__: builder
    for builder in (
        clock_tick, siren, bell, bird_chirp, dog_bark, rain, sea_waves, wind, helicopter, engine, chainsaw, crackling_fire,
        rooster, crying_baby, sneeze, knocks, beeps, hum, click_train, tone, white_noise, pink_noise, kick_drum, hi_hat, bass_line,
        chord_pad,
    )
}  # fmt: skip
"""Every kind of sound by name: the one list."""
