"""What the tests of attribution methods share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.attribution import Problem, attribute
from otoscope.classifiers import Inspected
from otoscope.domains import make_domain


@pytest.fixture
def ask():
    """`ask(classifier, sounds, domain)`: the problem of why these sounds get this score."""

    def make(classifier, sounds, domain="time", target=0, seed=0, batch_size=16, **settings) -> Problem:
        waveform = torch.from_numpy(np.atleast_2d(np.asarray(sounds, np.float32)).copy())
        inspected = Inspected(classifier, make_domain(domain, settings), waveform)
        targets = torch.full((len(waveform),), target) if isinstance(target, int) else torch.tensor(target)
        return Problem(inspected, targets, seed, batch_size)

    return make


@pytest.fixture
def values():
    """`values(problem, method, **settings)`: the attribution as float64 arrays ``(batch, freq, frame)``."""

    def run(problem, method, **settings) -> np.ndarray:
        return attribute(problem, method, settings).values.double().numpy()

    return run


@pytest.fixture
def noise():
    """`noise(n, batch)`: white noise at -20 dB."""

    def make(n, batch=None, seed=0) -> np.ndarray:
        shape = n if batch is None else (batch, n)
        return (np.random.default_rng(seed).standard_normal(shape) / 10).astype(np.float32)

    return make
