"""Any captum attribution object as a method: it is asked about the mask, with our inspected classifier as its model."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.core.errors import ParameterError, UnsupportedError


def run_captum(problem: Problem, method: Any, settings: Mapping[str, Any]) -> Tensor:
    """Values of a captum object, or of a captum class, for the mask of ones against silence.

    Parameters
    ----------
    problem : Problem
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
        If it is no captum attribution.
    UnsupportedError
        If it cannot explain an input of masks (layer and neuron methods).
    """
    if isinstance(method, type):
        method = method(problem.inspected)
    elif hasattr(method, "attribute") and hasattr(method, "forward_func"):
        method = copy.copy(method)
        method.forward_func = problem.inspected
        if hasattr(method, "model"):
            method.model = problem.inspected
    else:
        raise ParameterError(f"a method is a name or a captum attribution object; got {type(method).__name__}")
    accepted = inspect.signature(method.attribute).parameters
    arguments = dict(settings)
    if "target" in accepted:
        arguments.setdefault("target", problem.targets)
    ones = problem.inspected.ones().requires_grad_(True)
    try:
        with torch.enable_grad():
            values = method.attribute(ones, **arguments)
    except (TypeError, AssertionError, AttributeError) as error:
        raise UnsupportedError(
            f"captum's {type(method).__name__} cannot be asked about a mask ({type(error).__name__}: {error}); "
            "use one of its input attribution methods"
        ) from error
    if not isinstance(values, Tensor):
        raise UnsupportedError(f"captum's {type(method).__name__} gave {type(values).__name__}, not one tensor")
    return values
