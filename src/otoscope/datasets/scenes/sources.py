"""The kinds of sound: one builder each, and the table of them.

A builder draws one stem on a `Canvas` and marks its events. Loudness is of no matter here: `render` sets the level.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from otoscope.datasets.scenes.synthesis import (
    TOP_HZ,
    Array,
    Canvas,
    arc,
    band,
    formants,
    glide,
    tilted,
)

Builder = Callable[[Canvas], None]


def clock_tick(canvas: Canvas) -> None:
    """A wall clock: tick and tock in turn, each a click of the escapement and a fainter second one."""
    half = canvas.uniform(0.4, 0.62)
    start = canvas.uniform(0.1, 1.0) * min(0.3, 0.2 * canvas.duration)
    pitch = canvas.uniform(0.9, 1.15)
    modes = [(1150, 0.006, 0.5), (2350, 0.008, 0.8), (3500, 0.006, 1.0), (4700, 0.004, 0.8), (6900, 0.0025, 0.6)]
    for i in range(int(np.ceil((canvas.duration - start) / half))):
        onset = start + i * half
        t = canvas.times(onset, 0.06)
        lean = pitch * (1.0 if i % 2 == 0 else 0.86)
        sound = np.zeros(len(t))
        for late, gain in ((0.0, 0.55), (0.011, 1.0), (0.024, 0.3)):
            after = np.maximum(t - late, 0.0)
            struck = canvas.modes(after, [(f * lean, d, a) for f, d, a in modes])
            grit = canvas.noise(len(t), band(1500, 9000)) * np.exp(-after / 0.0015)
            sound += gain * canvas.uniform(0.85, 1.0) * (struck + 0.8 * grit) * (t >= late)
        canvas.add(onset, sound)
        canvas.mark(onset, onset + 0.06, 900, 9500)


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
    gains = [0.5, 0.6, 0.3, 0.8, 0.35, 1.0, 0.4, 0.4, 0.4, 0.6, 0.4, 0.25, 0.15, 0.1]
    decays = [2.0, 1.3, 1.3, 1.0, 0.7, 0.8, 0.8, 0.45, 0.45, 0.5, 0.3, 0.2, 0.15, 0.1]
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
    size = canvas.uniform(0.85, 1.2)
    throat = tilted(
        formants([(s * size, w, g) for s, w, g in ((620, 300, 1.0), (1250, 350, 0.8), (2500, 700, 0.35), (4300, 900, 0.12))]),
        -3.0,
        1500,
    )
    for onset in canvas.onsets(0.38, 0.9):
        length, top = canvas.uniform(0.17, 0.26), size * canvas.uniform(480, 620)
        t = canvas.times(onset, length)
        pitch = top * glide(t, length, [(0.0, 0.55), (0.25, 1.0), (0.6, 0.9), (1.0, 0.5)])
        rough = 1 + 0.025 * canvas.wander(t, 180.0)
        voice = canvas.harmonics(pitch * rough, throat) * (1 + 0.35 * canvas.wander(t, 120.0))
        breath = canvas.noise(len(t), throat) * arc(t, length, 0.008, 0.12)
        canvas.add(onset, (voice + 0.55 * breath) * arc(t, length, 0.022, 0.11))
        canvas.mark(onset, onset + length, 240, 3400)


def rain(canvas: Canvas) -> None:
    """Rain on leaves and ground: a dense hiss and many single drops."""
    count = len(canvas.samples)
    t = canvas.times(0.0, canvas.duration)
    hiss = canvas.noise(count, tilted(band(300, 14000, 1.0), -1.5, 1500)) * (1 + 0.06 * canvas.wander(t, 2.0))
    canvas.add(0.0, 0.5 * hiss)
    for _ in range(int(np.ceil(260 * canvas.duration))):
        onset = canvas.uniform(0.0, canvas.duration)
        gain = 1.1 * canvas.rng.exponential() ** 1.3
        hertz, decay = 10 ** canvas.uniform(2.8, 3.9), canvas.uniform(0.0008, 0.005)
        drop = canvas.times(onset, 6 * decay)
        canvas.add(onset, gain * canvas.modes(drop, [(hertz, decay, 1.0), (2.3 * hertz, 0.5 * decay, 0.5)]))
    canvas.mark(0.0, canvas.duration, 200, 14000)


def sea_waves(canvas: Canvas) -> None:
    """The sea: a steady rumble, waves that swell, break bright and wash back."""
    count = len(canvas.samples)
    t = canvas.times(0.0, canvas.duration)
    period, shift = canvas.uniform(5.0, 7.0), canvas.uniform(0.35, 0.65)
    turn = (t / period + shift) % 1.0
    swell = np.interp(turn, [0, 0.35, 0.5, 0.62, 1.0], [0.2, 0.55, 1.0, 0.6, 0.2])
    wash = np.interp(turn, [0, 0.42, 0.55, 0.75, 1.0], [0.1, 0.2, 1.0, 0.45, 0.1])
    for shape, gain, envelope in (
        (band(40, 250, 1.0), 0.45, 0.5 + 0.5 * swell),
        (band(200, 1000, 1.0), 0.55, swell),
        (band(900, 4000, 0.7), 0.22, 0.8 * wash + 0.2 * swell),
        (band(3500, 12000, 0.7), 0.06, wash),
    ):
        flutter = 1 + 0.12 * canvas.wander(t, 7.0)
        canvas.add(0.0, gain * canvas.noise(count, shape) * envelope * flutter)
    canvas.mark(0.0, canvas.duration, 30, 3500)


def wind(canvas: Canvas) -> None:
    """Gusts of wind: deep noise, and a whistle whose pitch follows the gusts."""
    count = len(canvas.samples)
    t = canvas.times(0.0, canvas.duration)
    gust = np.clip(0.6 + 0.35 * canvas.wander(t, 0.7) + 0.1 * canvas.wander(t, 4.0), 0.08, 2.0)
    canvas.add(0.0, 0.8 * canvas.noise(count, tilted(band(40, 400, 0.7), -6, 200)) * gust)
    canvas.add(0.0, 0.25 * canvas.noise(count, band(300, 1500, 0.7)) * gust**2)
    for start, span, gain in ((420, 160, 0.5), (760, 240, 0.25)):
        centre = canvas.phase(start + span * gust)
        slow = [canvas.noise(count, lambda f: np.exp(-((f / 35.0) ** 2))) for _ in range(2)]
        howl = slow[0] * np.cos(2 * np.pi * centre) + slow[1] * np.sin(2 * np.pi * centre)
        canvas.add(0.0, gain * howl * gust**2)
    canvas.mark(0.0, canvas.duration, 20, 1100)


def helicopter(canvas: Canvas) -> None:
    """A helicopter: noise and low harmonics that beat with the passing blades, over a turbine."""
    count = len(canvas.samples)
    t = canvas.times(0.0, canvas.duration)
    blades = canvas.phase(canvas.uniform(13, 18) * (1 + 0.008 * canvas.wander(t, 0.5)))
    saw = blades % 1.0
    chop = np.exp(-saw / 0.22) * np.clip(saw / 0.06, 0, 1)
    thump = np.exp(-saw / 0.12) * np.sin(2 * np.pi * 3.0 * saw) * np.clip(saw / 0.02, 0, 1)
    canvas.add(0.0, 0.8 * canvas.noise(count, tilted(band(90, 900, 0.7), -4, 600)) * (0.2 + 1.8 * chop))
    canvas.add(0.0, 0.18 * canvas.noise(count, tilted(band(700, 6000, 0.7), -3, 2000)) * (0.4 + chop))
    canvas.add(0.0, 0.5 * thump)
    turbine = canvas.uniform(95, 120) * (1 + 0.002 * canvas.wander(t, 1.0))
    canvas.add(0.0, 0.25 * canvas.harmonics(turbine, lambda f: (100 / np.maximum(f, 100)) ** 1.2, most=20))
    canvas.mark(0.0, canvas.duration, 25, 2500)


def engine(canvas: Canvas) -> None:
    """An engine that idles: firing pulses of uneven strength through an exhaust, and rattle."""
    count = len(canvas.samples)
    t = canvas.times(0.0, canvas.duration)
    pitch = canvas.uniform(24, 32) * (1 + 0.015 * canvas.wander(t, 1.5) + 0.006 * canvas.wander(t, 12.0))
    firing = canvas.phase(pitch)
    exhaust = tilted(formants([(75, 50, 1.0), (160, 90, 0.7), (330, 200, 0.35), (900, 700, 0.12)], 0.02), -4, 600)
    uneven = 1 + 0.25 * np.cos(np.pi * firing) + 0.15 * canvas.wander(t, 14.0)
    canvas.add(0.0, canvas.harmonics(pitch, exhaust, most=120) * uneven)
    pulse = np.exp(-(firing % 1.0) / 0.2)
    canvas.add(0.0, 0.9 * canvas.noise(count, tilted(exhaust, -2, 500)) * (0.15 + pulse) * uneven)
    canvas.add(0.0, 0.1 * canvas.noise(count, band(1500, 5000, 1.0)) * pulse)
    canvas.mark(0.0, canvas.duration, 20, 1500)


def chainsaw(canvas: Canvas) -> None:
    """A two-stroke chainsaw: a rough, buzzing voice that revs up, bites and drops."""
    count = len(canvas.samples)
    t = canvas.times(0.0, canvas.duration)
    load = np.clip(0.75 + 0.35 * canvas.wander(t, 0.8), 0.1, 1.2)
    pitch = canvas.uniform(88, 105) * (0.75 + 0.5 * load) * (1 + 0.012 * canvas.wander(t, 30.0))
    muffler = tilted(
        formants([(280, 200, 0.8), (750, 500, 0.8), (1700, 900, 0.7), (3300, 1600, 0.5), (6000, 3000, 0.25)], 0.05), -1.5
    )
    strokes = canvas.phase(pitch)
    rough = (0.5 + 0.5 * load) * (1 + 0.3 * canvas.wander(t, 60.0))
    canvas.add(0.0, canvas.harmonics(pitch, muffler, most=110) * rough)
    pulse = np.exp(-(strokes % 1.0) / 0.3)
    canvas.add(0.0, 2.2 * canvas.noise(count, muffler) * (0.25 + pulse) * rough)
    canvas.add(0.0, 0.7 * canvas.noise(count, band(2500, 9000, 1.0)) * load**2)
    canvas.mark(0.0, canvas.duration, 70, 8500)


def crackling_fire(canvas: Canvas) -> None:
    """A wood fire: a soft rumble and hiss, and crackles of very different strength."""
    count = len(canvas.samples)
    t = canvas.times(0.0, canvas.duration)
    canvas.add(0.0, 0.22 * canvas.noise(count, band(30, 180, 1.0)) * (1 + 0.3 * canvas.wander(t, 5.0)))
    canvas.add(0.0, 0.05 * canvas.noise(count, band(400, 7000, 0.7)) * (1 + 0.3 * canvas.wander(t, 8.0)))
    for _ in range(int(np.ceil(28 * canvas.duration))):
        onset = canvas.uniform(0.0, canvas.duration)
        strength = 0.25 * canvas.rng.pareto(1.6) + 0.1
        length, centre = canvas.uniform(0.002, 0.008), 10 ** canvas.uniform(3.0, 3.8)
        snap = canvas.times(onset, 5 * length)
        burst = canvas.noise(len(snap), band(0.4 * centre, 2.5 * centre, 1.0)) * np.exp(-snap / length)
        ping = canvas.modes(snap, [(centre, 0.5 * length, 1.0)])
        canvas.add(onset, min(strength, 3.0) * (burst + ping))
    canvas.mark(0.0, canvas.duration, 25, 12000)


def rooster(canvas: Canvas) -> None:
    """A rooster's crow: four syllables, the last long and falling, hard and bright."""
    beak = formants([(900, 500, 0.8), (1900, 700, 1.0), (3400, 900, 0.5), (5600, 1500, 0.25), (8000, 2500, 0.1)], 0.01)
    for onset in canvas.onsets(2.6, 3.4):
        pitch, start = canvas.uniform(0.92, 1.1), onset
        for length, curve in (
            (0.16, [(0, 520), (0.5, 640), (1, 600)]),
            (0.14, [(0, 640), (0.5, 760), (1, 700)]),
            (0.32, [(0, 700), (0.3, 880), (1, 840)]),
            (0.95, [(0, 800), (0.15, 930), (0.5, 860), (1, 520)]),
        ):
            t = canvas.times(start, length)
            rough = 1 + 0.012 * canvas.wander(t, 90.0)
            voice = canvas.harmonics(pitch * glide(t, length, curve) * rough, beak) * (1 + 0.2 * canvas.wander(t, 70.0))
            breath = 0.35 * canvas.noise(len(t), beak)
            canvas.add(start, (voice + breath) * arc(t, length, 0.03, min(0.3, 0.4 * length)))
            canvas.mark(start, start + length, 450, 4200)
            start += length + 0.04


def crying_baby(canvas: Canvas) -> None:
    """A baby that cries: long rising and falling wails with a tremor, and a gasp between them."""
    tract = formants([(1150, 350, 1.0), (3300, 700, 0.7), (5300, 900, 0.35), (8000, 1800, 0.15)], 0.02)
    for onset in canvas.onsets(1.15, 1.5, latest=0.15):
        length, top = canvas.uniform(0.75, 1.0), canvas.uniform(430, 520)
        t = canvas.times(onset, length)
        pitch = top * glide(t, length, [(0, 0.75), (0.15, 0.98), (0.5, 1.04), (0.8, 0.97), (1, 0.7)])
        pitch *= 1 + 0.012 * np.sin(2 * np.pi * 6.5 * t) + 0.006 * canvas.wander(t, 40.0)
        voice = canvas.harmonics(pitch, tract) * (1 + 0.1 * canvas.wander(t, 25.0))
        canvas.add(onset, (voice + 0.12 * canvas.noise(len(t), tract)) * arc(t, length, 0.08, 0.2))
        canvas.mark(onset, onset + length, 300, 6000)
        gasp = canvas.times(onset + length, 0.13)
        canvas.add(onset + length, 0.15 * canvas.noise(len(gasp), band(900, 5000, 1.0)) * arc(gasp, 0.13, 0.09, 0.03))


def sneeze(canvas: Canvas) -> None:
    """A sneeze: a breath drawn in, a blast of air through the mouth, and what is left of the voice."""
    mouth = formants([(1300, 900, 0.8), (2700, 1200, 1.0), (4800, 2500, 0.8), (8500, 4000, 0.5)], 0.1)
    throat = tilted(formants([(700, 250, 1.0), (1250, 300, 0.6), (2600, 500, 0.25)], 0.01), -3, 1000)
    for onset in canvas.onsets(1.9, 2.6):
        drawn = canvas.uniform(0.22, 0.32)
        t = canvas.times(onset, drawn + 0.55)
        after = np.maximum(t - drawn, 0.0)
        inward = 0.12 * canvas.noise(len(t), band(900, 4500, 1.0)) * arc(t, drawn, 0.8 * drawn, 0.02)
        blast = canvas.noise(len(t), mouth) * (t >= drawn) * np.clip(after / 0.006, 0, 1) * np.exp(-after / 0.09)
        pitch = np.interp(after, [0.0, 0.08, 0.5], [420.0, 330.0, 210.0])
        voice = canvas.harmonics(pitch * (1 + 0.02 * canvas.wander(t, 90.0)), throat)
        voice *= (t >= drawn) * arc(after, 0.5, 0.05, 0.4)
        canvas.add(onset, (inward + 1.4 * blast + 0.5 * voice) * np.clip((drawn + 0.55 - t) / 0.1, 0, 1))
        canvas.mark(onset, onset + drawn + 0.55, 250, 12000)


def knocks(canvas: Canvas) -> None:
    """Knuckles on a wooden door: groups of three to five."""
    door = [(105, 0.03, 0.7), (190, 0.03, 1.0), (330, 0.022, 0.8), (540, 0.015, 0.6), (870, 0.01, 0.4), (1500, 0.006, 0.3)]
    for group in canvas.onsets(1.7, 2.4):
        gap = canvas.uniform(0.17, 0.24)
        for i in range(int(canvas.rng.integers(3, 6))):
            onset = group + i * gap
            t = canvas.times(onset, 0.15)
            lean = canvas.uniform(0.97, 1.03)
            tap = canvas.noise(len(t), band(300, 3500, 1.0)) * np.exp(-t / 0.004)
            sound = canvas.modes(t, [(f * lean, d, g) for f, d, g in door]) + 0.7 * tap
            canvas.add(onset, canvas.uniform(0.75, 1.0) * sound * np.clip((0.15 - t) / 0.03, 0, 1))
            canvas.mark(onset, onset + 0.15, 80, 1700)


def beeps(canvas: Canvas) -> None:
    """An alarm clock: short electronic beeps."""
    hertz, length = canvas.uniform(1000, 1150), 0.12
    for onset in canvas.onsets(0.25, 0.25, latest=0.1):
        t = canvas.times(onset, length)
        sound = canvas.harmonics(np.full(len(t), hertz), lambda f: (1000 / np.maximum(f, 1000)) ** 1.5, most=6)
        canvas.add(onset, sound * arc(t, length, 0.004, 0.006))
        canvas.mark(onset, onset + length, 0.95 * hertz, 2.1 * hertz)


def hum(canvas: Canvas) -> None:
    """Mains hum: 50 Hz and its harmonics, the even ones strong."""
    t = canvas.times(0.0, canvas.duration)
    turn = canvas.uniform(0.0, 1.0)
    for k, gain in enumerate((0.5, 1.0, 0.25, 0.6, 0.15, 0.35, 0.1, 0.2, 0.05, 0.1, 0.03, 0.06), start=1):
        if 50 * k < canvas.top_hz:
            canvas.add(0.0, gain * np.sin(2 * np.pi * (50 * k * t + turn * k * k)))
    canvas.mark(0.0, canvas.duration, 40, 460)


def click_train(canvas: Canvas) -> None:
    """Even clicks: short bursts that hold all frequencies up to 6 kHz."""
    gap = 1 / canvas.uniform(8, 14)
    start = min(0.02, 0.1 * canvas.duration)
    for i in range(int(np.ceil((canvas.duration - start) / gap))):
        onset = start + i * gap
        t = canvas.times(onset, 0.006)
        canvas.add(onset, canvas.modes(t, [(f, 0.0012, 1.0) for f in (900, 1900, 2900, 3900, 4900)]))
        canvas.mark(onset, onset + 0.006, 500, 5600)


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
        clock_tick,
        siren,
        bell,
        bird_chirp,
        dog_bark,
        rain,
        sea_waves,
        wind,
        helicopter,
        engine,
        chainsaw,
        crackling_fire,
        rooster,
        crying_baby,
        sneeze,
        knocks,
        beeps,
        hum,
        click_train,
        tone,
        white_noise,
        pink_noise,
    )
}
"""Every kind of sound by name: the one list."""
