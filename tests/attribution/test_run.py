"""Which methods work in which domains, and what is said of the others."""

from __future__ import annotations

import pytest

from otoscope.attribution.run import check_domain
from otoscope.core import registry
from otoscope.core.errors import UnsupportedError
from otoscope.core.registry import fitting_domains

PLACED = ("amt", "attention_rollout", "grad_cam", "grad_cam_pp", "gradient_rollout", "layer_cam", "prototypes")
EVERYWHERE = (
    "deconvolution", "deep_lift_shap", "energy", "gradient", "gradient_shap", "guided_backprop", "input_x_gradient",
    "integrated_gradients",
    "kernel_shap", "lime", "lrp", "mask_evolution", "mask_optimisation", "occlusion", "random", "rise", "smooth_grad",
)  # fmt: skip
TABLE = {
    **dict.fromkeys(PLACED, frozenset(("stft", "mel", "time", "features", "superpixels"))),
    **dict.fromkeys(EVERYWHERE, frozenset(("stft", "mel", "time", "features", "components", "superpixels"))),
    "like-to-hear": {"stft", "mel", "time"},
}


@pytest.mark.parametrize("method", TABLE)
def test_needs_give_the_domains_that_were_once_listed_by_hand(method):
    found = fitting_domains(method)
    assert set(found) == TABLE[method]
    assert found == [name for name in registry.names("domain") if name in TABLE[method]]


def test_every_method_is_on_the_table():
    assert {e.name for e in registry.entries("method") if e.target.__module__.startswith("otoscope.")} == set(TABLE)


def test_a_domain_that_does_not_fit_is_named_with_those_that_do():
    words = "method 'grad_cam' does not support domain 'components'; supported: stft, features, mel, superpixels, time"
    with pytest.raises(UnsupportedError, match=words):
        check_domain("grad_cam", "components")
    check_domain("grad_cam", "somebody's own")
    check_domain("lime", "components")
