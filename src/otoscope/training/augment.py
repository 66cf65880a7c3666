"""Changes to waveforms ``(batch, time)`` and features ``(batch, 1, freq, frame)`` while training; all seeded."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from otoscope.training.recipe import AugmentSettings


def roll(waveform: Tensor, most: int, rng: Generator) -> Tensor:
    """Each clip shifted around in time by up to ``most`` samples."""
    shifts = torch.randint(-most, most + 1, (len(waveform),), generator=rng) if most > 0 else [0] * len(waveform)
    return torch.stack([torch.roll(w, int(s)) for w, s in zip(waveform, shifts, strict=True)])


def gain(waveform: Tensor, most_db: float, rng: Generator) -> Tensor:
    """Each clip louder or softer by up to ``most_db`` dB."""
    db = (torch.rand(len(waveform), 1, generator=rng) * 2 - 1) * most_db
    return waveform * (10 ** (db / 20)).to(waveform.device)


def mixup(waveform: Tensor, target: Tensor, probability: float, alpha: float, rng: Generator) -> tuple[Tensor, Tensor]:
    """Clips added to one another, and their labels with the same weights.

    A clip is mixed with another with the given probability; its own share, at least a half, follows Beta(alpha, alpha).
    """
    n = len(waveform)
    partner = torch.randperm(n, generator=rng)
    a = torch._standard_gamma(torch.full((n,), float(alpha)), generator=rng)
    b = torch._standard_gamma(torch.full((n,), float(alpha)), generator=rng)
    share = a / (a + b).clamp_min(1e-12)
    share = torch.maximum(share, 1 - share)
    share = torch.where(torch.rand(n, generator=rng) < probability, share, torch.ones(n))[:, None]
    partner, share = partner.to(waveform.device), share.to(waveform.device)
    return share * waveform + (1 - share) * waveform[partner], share * target + (1 - share) * target[partner]


def spec_mask(features: Tensor, bands: int, frames: int, silence: float, rng: Generator) -> Tensor:
    """One band of frequencies and one stretch of time a clip, of random width up to the given ones, set to silence."""
    batch, _, n_freq, n_frame = features.shape
    keep = torch.ones(batch, 1, n_freq, n_frame, dtype=torch.bool)
    for axis, (most, size) in enumerate(((bands, n_freq), (frames, n_frame)), start=2):
        if most <= 0:
            continue
        width = torch.randint(0, most + 1, (batch,), generator=rng)
        start = (torch.rand(batch, generator=rng) * (size - width + 1)).long()
        place = torch.arange(size)
        hidden = (place >= start[:, None]) & (place < (start + width)[:, None])  # (batch, size)
        keep &= ~(hidden[:, None, :, None] if axis == 2 else hidden[:, None, None, :])
    return features.masked_fill(~keep.to(features.device), silence)


def augment_waveforms(
    waveform: Tensor, target: Tensor, settings: AugmentSettings, sample_rate: int, rng: Generator
) -> tuple[Tensor, Tensor]:
    """Roll, gain and mix-up, in this order."""
    waveform = roll(waveform, int(settings.roll_s * sample_rate), rng)
    waveform = gain(waveform, settings.gain_db, rng)
    return mixup(waveform, target, settings.mixup_probability, settings.mixup_alpha, rng)
