"""Learning-rate schedules."""

import numpy as np
import pytest

from otoscope.training import Recipe
from otoscope.training.classifier.module import ClassifierModule
from otoscope.training.module import factor_at
from otoscope.training.settings import OptimiserSettings
from training.classifier_worlds import toy


def test_schedule_warms_up_and_decays_to_zero():
    settings = OptimiserSettings(epochs=10, warmup_epochs=2, lr=1.0)
    assert [factor_at(settings, e) for e in (0.2, 1, 2, 6, 10)] == pytest.approx([0.1, 0.5, 1.0, 0.5, 0.0], abs=1e-12)
    module = ClassifierModule(toy(["a", "b"]), Recipe(optimiser=settings), None, batches=5)
    (factor,) = set(module.configure_optimizers()["lr_scheduler"]["scheduler"].lr_lambdas)
    assert factor(0) == pytest.approx(0.1)
    assert factor(9) == pytest.approx(1.0)
    assert factor(49) == pytest.approx(0.0, abs=1e-12)


def test_the_published_ramp():
    """Exponential warm-up over 10 epochs, full to 10, linear over 65 down to a hundredth."""
    settings = OptimiserSettings(
        epochs=80,
        warmup="exponential",
        warmup_epochs=10,
        schedule="ramp",
        ramp_start=10,
        ramp_epochs=65,
        last_factor=0.01,
    )
    expected = [np.exp(-5), np.exp(-5 / 4), 1.0, 1 - 0.99 * 20 / 65, 0.01, 0.01]
    assert [factor_at(settings, e) for e in (0, 5, 10, 30, 75, 80)] == pytest.approx(expected)
