"""Clips as batches, in an order and with cuts that depend on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from otoscope.audio import fit_length
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.core.jsonable import to_jsonable
from otoscope.datasets import Dataset, contaminator, planter, waveform
from otoscope.datasets.prepare import add_noise_and_cue, clip_key, full_scale
from otoscope.training.settings import DataSettings


class Clips(TorchDataset[tuple[Tensor, int]]):
    """Waveforms ``(time,)`` of one length at the classifier's rate, and class numbers.

    Decoding and resampling are cached on disk and memory-mapped, so that an epoch after the first reads what it needs.

    Parameters
    ----------
    data : Dataset
        The clips.
    sample_rate : int, Hz
        Sample rate of the batches.
    settings : DataSettings
        Length, noise and cue of the clips.
    seed : int, optional
        Draws the stretches of ``crop_s``; without one clips are whole.
    pool : Dataset, optional
        Clips that contamination with other clips draws from: those that train.
    cued : collection of int
        Numbers of the classes whose clips get the cue ``settings.plant``.
    """

    def __init__(
        self,
        data: Dataset,
        sample_rate: int,
        settings: DataSettings,
        seed: int | None = None,
        pool: Dataset | None = None,
        cued: Collection[int] = (),
    ):
        self.data, self.sample_rate, self.settings, self.seed, self.epoch = data, sample_rate, settings, seed, 0
        self.length = round(settings.seconds * sample_rate)
        self.crop = 0
        if seed is not None and settings.crop_s > 0:
            self.crop = min(self.length, max(1, round(settings.crop_s * sample_rate)))
        self.noise = None
        if settings.contaminate:
            others = pool if pool is not None else data
            self.noise = contaminator(settings.contaminate, [e.path for e in others.examples])
        self.cued = frozenset(cued)
        self.cue = planter(settings.plant) if self.cued else None

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        out, n_heard = self._cut(i)
        label, has_cue = self._planted(i)
        cue = self.cue if has_cue else None
        out = add_noise_and_cue(out, self.sample_rate, clip_key(self.data.examples[i]), self.noise, cue).samples
        if self.settings.peak:
            out = out / full_scale(out)
        if self.crop:
            spare = max(0, n_heard - self.crop)  # within the sound, not in the padding
            start = int(np.random.default_rng((self.seed or 0, self.epoch, i)).integers(spare + 1))
            out = out[start : start + self.crop]
        return torch.from_numpy(out), label

    def _planted(self, i: int) -> tuple[int, bool]:
        """A clip's class, and whether it gets the cue. In training both are drawn: ``plant_own`` of the class get the cue,
        ``plant_share`` of the others get it and change to the class."""
        label = self.data.examples[i].index
        if self.seed is None or len(self.cued) != 1:
            return label, label in self.cued
        drawn = np.random.default_rng((self.seed, self.epoch, i, 1)).random()
        if label in self.cued:
            return label, bool(drawn < self.settings.plant_own)
        return (next(iter(self.cued)), True) if drawn < self.settings.plant_share else (label, False)

    def _cut(self, i: int) -> tuple[np.ndarray, int]:
        """A clip cut, or padded with silence, to the length, and its own number of samples."""
        heard = waveform(self.data.examples[i], self.sample_rate)[: self.length].copy()  # the cache is read-only
        return fit_length(heard, self.length), len(heard)

    def contamination(self, i: int) -> dict[str, Any] | None:
        """What was mixed into a clip, or None."""
        if self.noise is None:
            return None
        out, _ = self._cut(i)
        return to_jsonable(self.noise(out, self.sample_rate, clip_key(self.data.examples[i]))[1])


class EpochSampler(Sampler[int]):
    """A new order each epoch that depends on the seed and the epoch alone, so that a resumed run sees the same.

    With several processes each takes every n-th clip of the same order.
    """

    def __init__(self, clips: Clips, seed: int):
        self.clips, self.seed, self.epoch = clips, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self.epoch = self.clips.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        rank, world = _place()
        order = torch.randperm(len(self.clips), generator=rng).tolist()
        return iter(order[rank : len(self) * world : world])

    def __len__(self) -> int:
        return len(self.clips) // _place()[1]


def _place() -> tuple[int, int]:
    """Rank of this process, and the number of processes."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def loader(
    clips: Clips, batch_size: int, seed: int | None = None, drop_last: bool = True
) -> DataLoader[tuple[Tensor, int]]:
    """Batches; shuffled, and all of one size unless ``drop_last`` is off, when a seed is given; else in order."""
    workers = clips.settings.workers
    if seed is None:
        return DataLoader(clips, batch_size, num_workers=workers)
    sampler = EpochSampler(clips, seed)
    return DataLoader(clips, min(batch_size, len(sampler)), sampler=sampler, drop_last=drop_last, num_workers=workers)


def divide(data: Dataset, settings: DataSettings) -> tuple[Dataset, Dataset | None, Dataset]:
    """Training, validation and test part; no source on two sides.

    Raises
    ------
    ParameterError
        If folds do not exist, overlap, or leave nothing to train on.
    """
    test = settings.test
    if not test:
        raise ParameterError(f"data.test names no fold; {data.name} has {data.fold_names()}")
    data.folds(test)
    validation: tuple[int | str, ...] = settings.validation
    if validation == ("next",):
        validation = (data.next_fold(test),)
    rest = [name for name in data.fold_names() if name not in (*test, *validation)]
    train = settings.train or tuple(rest)
    shared = [name for name in train if name in (*test, *validation)] + [name for name in validation if name in test]
    if shared or not train:
        raise ParameterError(
            f"the folds must be apart and some must be left to train: train {list(train)}, validation {list(validation)}, "
            f"test {list(test)}; {data.name} has {data.fold_names()}"
        )
    parts = (data.folds(train), data.folds(validation) if validation else None, data.folds(test))
    known = {e.index for e in parts[0].examples}
    unheard = [data.labels[i] for i in sorted({e.index for e in parts[2].examples} - known)]
    if unheard or len(known) < 2:
        raise ParameterError(
            f"the training folds {list(train)} hold {len(known)} classes and none of {unheard}, which the test folds have; "
            "choose other folds"
            if unheard
            else f"the training folds {list(train)} hold {len(known)} class; a classifier needs at least two"
        )
    data.check_apart([part for part in parts if part is not None])
    return parts


def cued_class(data: Dataset, settings: DataSettings) -> tuple[int, ...]:
    """Index of the class that gets the cue in training; empty without a cue.

    Raises
    ------
    UnknownNameError
        For a class that the data do not have.
    """
    if not settings.plant:
        return ()
    if settings.plant_class not in data.labels:
        raise UnknownNameError("class in data.plant_class", settings.plant_class, data.labels)
    return (data.labels.index(settings.plant_class),)
