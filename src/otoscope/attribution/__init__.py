"""Room 6: post-hoc attribution methods, one file a method.

A method takes a `Problem` (an inspected classifier, targets, a seed, a batch size) and gives one signed number for each
cell, ``(batch, freq, frame)``. Scores are logits unless a name says probability. No method changes the model.
"""

from otoscope.attribution.base import FACTS, Problem, Result, as_attributions
from otoscope.attribution.run import attribute, method_name

__all__ = ["FACTS", "Problem", "Result", "as_attributions", "attribute", "method_name"]

from otoscope.attribution import (  # noqa: F401  (they register themselves)
    amt,
    attention_rollout,
    deep_lift_shap,
    energy,
    grad_cam,
    grad_cam_pp,
    gradient,
    gradient_rollout,
    gradient_shap,
    guided_backprop,
    input_x_gradient,
    integrated_gradients,
    kernel_shap,
    layer_cam,
    lime,
    lrp,
    mask_optimisation,
    occlusion,
    random,
    rise,
    smooth_grad,
)
