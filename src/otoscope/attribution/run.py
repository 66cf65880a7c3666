"""Run a method and check what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from otoscope.attribution.base import Problem, Result
from otoscope.attribution.captum_bridge import run_captum
from otoscope.attribution.units import count, segments_of
from otoscope.classifiers import Classifier
from otoscope.core import registry
from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError, UnsupportedError
from otoscope.core.registry import fitting_domains


def attribute(problem: Problem, method: Any, settings: Mapping[str, Any] | None = None) -> Result:
    """Run a method, by name or as a captum object, and check what comes out.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    method : str or captum attribution object
        Name of a registered method, or a captum object or class.
    settings : mapping, optional
        Parameters of the method.

    Returns
    -------
    Result
        Where the domain has segments (superpixels), its facts include the number of ``units`` of each clip: one or two
        allow little distinction.

    Raises
    ------
    UnknownNameError, ParameterError, UnsupportedError
        If the method does not exist, a setting is wrong, or the method does not support the domain.
    NonFiniteError
        If NaN or infinity comes out.

    Examples
    --------
    >>> from otoscope.classifiers import Inspected
    >>> from otoscope.domains import make_domain
    >>> model = otoscope.wrap(torch.nn.Linear(16000, 2), sample_rate=16000, labels=["yes", "no"])
    >>> inspected = Inspected(model, make_domain("time"), torch.rand(1, 16000))
    >>> problem = Problem(inspected, torch.tensor([0]))
    >>> attribute(problem, "occlusion", {"patches_time": 5}).values.shape
    torch.Size([1, 1, 10])
    """
    if isinstance(method, str):
        entry = registry.get("method", method)
        if entry.facts["gives"] != "attributions":
            raise UnsupportedError(
                f"the method {method!r} produces {entry.facts['gives']} rather than attributions; use otoscope.explain"
            )
        check_domain(method, problem.inspected.grid.domain)
        check_classifier(method, problem.inspected.classifier)
        result = entry.target(problem, **entry.settings(settings))
        name = method
    else:
        name = method_name(method)
        result = run_captum(problem, method, settings or {})
    result = Result(*result) if isinstance(result, tuple) else Result(result)
    values, error = result.values.detach().float(), result.standard_error
    if tuple(values.shape) != (problem.batch, *problem.shape):
        raise ShapeError(
            f"method {name!r} gave shape {tuple(values.shape)}, expected {(problem.batch, *problem.shape)}"
        )
    if not torch.isfinite(values).all():
        raise NonFiniteError(
            f"method {name!r} gave NaN or infinite values; the classifier's gradient may be undefined on this sound"
        )
    analysis = problem.inspected.analysis
    values = analysis.pool(values)
    error = None if error is None else analysis.pool(error.detach().float())
    labels = segments_of(problem)
    return Result(values, error, result.facts if labels is None else {**result.facts, "units": count(labels)})


def check_domain(method: str, domain: str) -> None:
    """An `UnsupportedError` if a method does not work in a registered domain; it names those in which it does.

    Of a method that gives a sound, a `ParameterError`: its changes cannot be described in the domain.
    """
    fitting = fitting_domains(method)
    if domain in fitting or domain not in registry.names("domain"):
        return
    if registry.get("method", method).facts["gives"] == "sound":
        raise ParameterError(
            f"what the method {method!r} changes cannot be described in the domain {domain!r}; use {', '.join(fitting)}"
        )
    raise UnsupportedError(
        f"method {method!r} does not support domain {domain!r}; supported: {', '.join(fitting) or 'none'}"
    )


def check_classifier(method: str, classifier: Classifier) -> None:
    """An `UnsupportedError` if a method needs something of a classifier that this one does not have."""
    compiled = classifier.compiled
    if compiled and "uncompiled code" in registry.get("method", method).facts["needs"]:
        raise UnsupportedError(
            f"method {method!r} puts its own rules inside the network, which does not work in {classifier.name!r}: it is "
            f"compiled ({compiled}); use mask_optimisation, integrated_gradients, lime or kernel_shap, or the module before "
            "compilation"
        )


def method_name(method: Any) -> str:
    """The name to write into records.

    Examples
    --------
    >>> method_name("lime")
    'lime'
    """
    if isinstance(method, str):
        return method
    if not hasattr(method, "attribute"):
        raise ParameterError(f"a method is a name or a captum attribution object; got {type(method).__name__}")
    kind = method if isinstance(method, type) else type(method)
    return f"captum:{kind.__name__}"
