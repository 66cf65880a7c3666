"""Structural similarity against its slow twin and scikit-image."""

import math

import numpy as np
import pytest

from otoscope.core.errors import NonFiniteError, ShapeError
from otoscope.metrics.ssim import ssim
from reference import metrics as slow


def pair(shape, seed=0):
    a, b = np.random.default_rng(seed).normal(size=(2, *shape))
    return a, 0.6 * a + 0.4 * b


@pytest.mark.parametrize("shape", [(7, 7), (9, 12), (1, 20), (3, 5), (2, 1)])
def test_equals_its_twin(shape):
    a, b = pair(shape)
    assert ssim(a, b) == pytest.approx(slow.ssim(a.tolist(), b.tolist()), abs=1e-9)


def test_equals_that_of_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    a, b = pair((20, 31))
    first, second = (0.5 + x / (2 * np.abs(x).max()) for x in (a, b))
    wanted = metrics.structural_similarity(first, second, data_range=1.0)
    assert ssim(a, b) == pytest.approx(wanted, abs=1e-9)


def test_laws():
    a, b = pair((10, 10))
    assert ssim(a, a) == pytest.approx(1.0)
    assert ssim(a, 3e9 * a) == pytest.approx(1.0)
    assert ssim(a, b) == pytest.approx(ssim(b, a))
    assert ssim(a, -a) < 0 < ssim(a, b) < 1
    assert abs(ssim(*np.random.default_rng(1).normal(size=(2, 40, 40)))) < 0.1


def test_edge_cases():
    a, b = pair((8, 8))
    assert math.isnan(ssim(a, 0 * a))
    assert math.isnan(ssim(0 * a, a))
    assert ssim(np.array([[2.0]]), np.array([[5.0]])) == pytest.approx(1.0)
    with pytest.raises(ShapeError, match=r"got \(8, 8\) and \(8, 7\)"):
        ssim(a, b[:, 1:])
    with pytest.raises(ShapeError, match="two attributions"):
        ssim(a[0], b[0])
    with pytest.raises(NonFiniteError):
        ssim(a, np.full((8, 8), np.nan))
