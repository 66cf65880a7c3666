"""Changes to waveforms ``(batch, time)`` and features ``(batch, 1, freq, frame)`` while training; all seeded."""

from __future__ import annotations

import inspect

import torch
from torch import Generator, Tensor, nn

from otoscope.training.autoencoder.settings import WaveformAugmentSettings
from otoscope.training.classifier.settings import AugmentSettings


def roll(waveform: Tensor, most: int, rng: Generator) -> Tensor:
    """Each clip shifted around in time by up to ``most`` samples."""
    if most <= 0:
        return waveform
    shifts = torch.randint(-most, most + 1, (len(waveform),), generator=rng)
    return torch.stack([torch.roll(w, int(s)) for w, s in zip(waveform, shifts, strict=True)])


def gain(waveform: Tensor, most_db: float, rng: Generator) -> Tensor:
    """Each clip louder or softer by up to ``most_db`` dB."""
    db = (torch.rand(len(waveform), 1, generator=rng) * 2 - 1) * most_db
    return waveform * (10 ** (db / 20)).to(waveform.device)


def shares(n: int, probability: float, alpha: float, rng: Generator) -> Tensor:
    """Each clip's own share, at least a half: Beta(alpha, alpha) with the given probability, else one; ``(n,)``."""
    a = torch._standard_gamma(torch.full((n,), float(alpha)), generator=rng)
    b = torch._standard_gamma(torch.full((n,), float(alpha)), generator=rng)
    share = a / (a + b).clamp_min(1e-12)
    share = torch.maximum(share, 1 - share)
    return torch.where(torch.rand(n, generator=rng) < probability, share, torch.ones(n))


def mix(sounds: Tensor, target: Tensor, share: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
    """Each clip ``(batch, ...)`` (or its features) added to another one, which is drawn; labels ``(batch, class)`` likewise.

    ``share (batch,)``, in [0, 1], is that of the clip itself.
    """
    partner = torch.randperm(len(sounds), generator=rng).to(sounds.device)
    share = share.to(sounds.device)
    wide = share.reshape(-1, *[1] * (sounds.ndim - 1))
    mixed = wide * sounds + (1 - wide) * sounds[partner]
    return mixed, share[:, None] * target + (1 - share[:, None]) * target[partner]


def wave_mix(waveform: Tensor, target: Tensor, probability: float, rng: Generator) -> tuple[Tensor, Tensor]:
    """EfficientAT's mix of waveforms: both without their mean, shares from Beta(2, 2).

    Source: schmid2023efficient, the released training code.
    """
    share = shares(len(waveform), probability, 2.0, rng)
    centred = waveform - waveform.mean(-1, keepdim=True)
    mixed, labels = mix(centred, target, share, rng)
    preserve_state = (share == 1)[:, None].to(waveform.device)
    return torch.where(preserve_state, waveform, mixed - mixed.mean(-1, keepdim=True)), labels


def spec_mask(features: Tensor, bands: int, frames: int, fill: float | Tensor, rng: Generator) -> Tensor:
    """One band of frequencies and one stretch of time a clip, of random width up to the given ones, filled.

    Source: park2019specaugment.
    """
    batch, _, n_freq, n_frame = features.shape
    keep = torch.ones(batch, 1, n_freq, n_frame, dtype=torch.bool)
    for axis, (most, size) in enumerate(((bands, n_freq), (frames, n_frame)), start=2):
        if most <= 0:
            continue
        width = torch.randint(0, min(most, size) + 1, (batch,), generator=rng)
        start = (torch.rand(batch, generator=rng) * (size - width + 1)).long()
        place = torch.arange(size)
        hidden = (place >= start[:, None]) & (place < (start + width)[:, None])  # (batch, size)
        keep &= ~(hidden[:, None, :, None] if axis == 2 else hidden[:, None, None, :])
    return torch.where(keep.to(features.device), features, fill)


def augment_waveforms(
    waveform: Tensor,
    target: Tensor,
    settings: AugmentSettings | WaveformAugmentSettings,
    sample_rate: int,
    rng: Generator,
) -> tuple[Tensor, Tensor]:
    """Roll, gain, wave-mix and mix-up, in this order."""
    waveform = roll(waveform, min(int(settings.roll_s * sample_rate), waveform.shape[-1]), rng)
    if settings.gain_db > 0:
        waveform = gain(waveform, settings.gain_db, rng)
    if settings.wave_mix > 0:
        waveform, target = wave_mix(waveform, target, settings.wave_mix, rng)
    if settings.mixup_on == "waveform" and settings.mixup_probability > 0:
        share = shares(len(waveform), settings.mixup_probability, settings.mixup_alpha, rng)
        waveform, target = mix(waveform, target, share, rng)
    return waveform, target


def augment_features(
    features: Tensor, target: Tensor, settings: AugmentSettings, fill: Tensor, rng: Generator
) -> tuple[Tensor, Tensor]:
    """Masks in frequency and time, filled with the given value, then mix-up of features if the settings request it."""
    if settings.frequency_mask > 0 or settings.time_mask > 0:
        features = spec_mask(features, settings.frequency_mask, settings.time_mask, fill, rng)
    if settings.mixup_on == "features" and settings.mixup_probability > 0:
        share = shares(len(features), settings.mixup_probability, settings.mixup_alpha, rng)
        features, target = mix(features, target, share, rng)
    return features, target


def jitter_bank(frontend: nn.Module, rng: Generator) -> dict[str, float]:
    """Ends of the mel bank for one batch, as EfficientAT and PaSST draw them: 0 to 9 Hz up, and up to 1 kHz around the top.

    Returns
    -------
    dict
        ``low_hz`` and ``high_hz`` for the front end's call; empty for a front end that takes none.
    """
    if "low_hz" not in inspect.signature(frontend.forward).parameters:
        return {}
    low = float(frontend.low_hz) + int(torch.randint(0, 10, (), generator=rng))  # type: ignore[arg-type]
    top = float(frontend.high_hz) + 1000 - int(torch.randint(0, 2000, (), generator=rng))  # type: ignore[arg-type]
    return {"low_hz": low, "high_hz": min(top, float(frontend.sample_rate) / 2)}  # type: ignore[arg-type]
