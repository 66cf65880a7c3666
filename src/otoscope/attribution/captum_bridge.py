"""Any captum attribution object as a method: it explains the mask, with the inspected classifier as its model."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.attribution.base import FORWARD_ONLY, Problem
from otoscope.classifiers import Inspected
from otoscope.core.errors import ParameterError, UnsupportedError


class OneClip(nn.Module):
    """One clip of an inspected batch: masks ``(any, freq, frame)`` -> logits.

    captum makes more rows of one, in an order of its own; with a single clip behind them, every row is about that clip.
    The classifier is a submodule here, because methods such as DeepLift change how its layers go backwards.
    """

    def __init__(self, inspected: Inspected, clip: int):
        super().__init__()
        self.classifier, self._inspected, self.clip = inspected.classifier, [inspected], clip

    def forward(self, mask: Tensor) -> Tensor:
        """Logits ``(any, class)``."""
        index = torch.full((len(mask),), self.clip, device=mask.device)
        return self._inspected[0](mask, index)


def run_captum(problem: Problem, method: Any, settings: Mapping[str, Any]) -> Tensor:
    """Values of a captum object, or of a captum class, for the mask of ones against silence.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    method : captum.attr.Attribution or a class of it
        The model that the object was made with is replaced, in a copy, by the inspected classifier.
    settings : mapping
        Passed on to its ``attribute``.

    Returns
    -------
    Tensor (batch, freq, frame)

    Raises
    ------
    ParameterError
        If it is not a captum attribution.
    UnsupportedError
        If it cannot explain an input of masks (layer and neuron methods), or there are no gradients.
    """
    is_class = isinstance(method, type)
    if not hasattr(method, "attribute") or not (is_class or hasattr(method, "forward_func")):
        raise ParameterError(f"a method is a name or a captum attribution object; got {type(method).__name__}")
    name = method.__name__ if is_class else type(method).__name__
    if hasattr(method, "layer"):
        raise UnsupportedError(
            f"captum's {name} cannot explain a mask: it explains a layer; use one of captum's input attribution "
            "methods, or grad_cam"
        )
    try:
        return torch.cat([_one(problem, method, settings, clip) for clip in range(problem.batch)])
    except (TypeError, AssertionError, AttributeError) as error:
        raise UnsupportedError(
            f"captum's {name} cannot explain a mask ({type(error).__name__}: {error}); "
            "use one of its input attribution methods"
        ) from error
    except RuntimeError as error:
        if "does not require grad" not in str(error):
            raise
        raise UnsupportedError(
            f"classifier {problem.inspected.classifier.name!r} gives no gradients, which captum's {name} needs; "
            f"use {FORWARD_ONLY}"
        ) from error


def _one(problem: Problem, method: Any, settings: Mapping[str, Any], clip: int) -> Tensor:
    model = OneClip(problem.inspected, clip)
    bound = method(model) if isinstance(method, type) else _with_model(method, model)
    arguments = dict(settings)
    accepted = inspect.signature(bound.attribute).parameters.values()
    if any(p.name == "target" or p.kind is p.VAR_KEYWORD for p in accepted):
        arguments.setdefault("target", problem.targets[clip : clip + 1])
    if any(p.name == "internal_batch_size" for p in accepted):
        arguments.setdefault("internal_batch_size", problem.batch_size)
    ones = problem.inspected.ones(1).requires_grad_(True)
    with torch.enable_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(problem.seed)  # captum draws from torch's global generator
        warnings.filterwarnings(
            "ignore", "Setting (forward, )?backward hooks"
        )  # captum undoes them, and so does surgery
        values = bound.attribute(ones, **arguments)
    if not isinstance(values, Tensor):
        raise UnsupportedError(f"captum's {type(bound).__name__} returned {type(values).__name__}, not one tensor")
    return values.detach()


def _with_model(method: Any, model: nn.Module) -> Any:
    """A copy of a captum object, and of captum objects inside it, that uses another model."""
    method = copy.copy(method)
    for key, value in vars(method).items():
        if key in ("forward_func", "model"):
            setattr(method, key, model)
        elif hasattr(value, "forward_func") and hasattr(value, "attribute"):
            setattr(method, key, _with_model(value, model))
    return method
