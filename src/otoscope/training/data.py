"""Clips of a data set as one tensor in memory, and batches in an order that depends on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset
from tqdm import tqdm

from otoscope.audio import downmix, load_audio, resample
from otoscope.datasets import Dataset


def load_tensors(data: Dataset, sample_rate: int, seconds: float) -> TensorDataset:
    """Waveforms ``(clip, time)`` at the classifier's rate, cut or padded with silence to one length, and class numbers."""
    length = round(seconds * sample_rate)
    waveforms = torch.zeros(len(data), length)
    for i, example in enumerate(tqdm(data.examples, desc=f"reading {data.name}", delay=2, leave=False)):
        clip = load_audio(example.path)
        samples = downmix(resample(clip.samples, clip.sample_rate, sample_rate))[:length]
        waveforms[i, : len(samples)] = torch.tensor(samples)
    return TensorDataset(waveforms, torch.tensor([e.index for e in data.examples]))


class EpochSampler(Sampler[int]):
    """A new order each epoch that depends on the seed and the epoch alone, so that a resumed run sees the same."""

    def __init__(self, n: int, seed: int):
        self.n, self.seed, self.epoch = n, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        return iter(torch.randperm(self.n, generator=rng).tolist())

    def __len__(self) -> int:
        return self.n


def loader(tensors: TensorDataset, batch_size: int, seed: int | None = None) -> DataLoader[tuple[Tensor, ...]]:
    """Batches; shuffled and all of one size when a seed is given, else in order and complete."""
    if seed is None:
        return DataLoader(tensors, batch_size)
    n = len(tensors)
    return DataLoader(tensors, min(batch_size, n), sampler=EpochSampler(n, seed), drop_last=True)
