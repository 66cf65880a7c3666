"""What can be known to fail before anything runs."""

from __future__ import annotations

from pathlib import Path

from otoscope.classifiers import Classifier
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, UnsupportedError
from otoscope.studies.plan import Plan
from otoscope.studies.recipe import ORACLES


def check_plan(plan: Plan) -> None:
    """Check that every condition, domain and class of the plan works with every classifier.

    Raises
    ------
    OtoscopeError
        That names the first that is not so.
    """
    for what, path in (("labels", plan.recipe.data.labels), ("noises", plan.recipe.data.noises)):
        if path and not Path(path).exists():
            raise ParameterError(f"data.{what}: {path} is not there; give a file or folder that is, or leave it out")
    _check_labels(plan)
    _check_conditions(plan)
    for name, classifier in plan.classifiers.items():
        for condition in plan.recipe.conditions:
            for label in {plan.examples[i].label for i in plan.clips_of(condition)}:
                plan.target_of(name, label, condition)
        _check_domains(plan, name, classifier)


def _check_labels(plan: Plan) -> None:
    conditions = plan.recipe.conditions
    for label in (*plan.recipe.data.names, *(w for c in conditions.values() for w in c.without)):
        if label not in plan.data.labels and label not in {c.target for c in conditions.values()}:
            raise UnknownNameError(f"class of {plan.data.name}", label, plan.data.labels)
    for condition in conditions:
        if not any(plan.clips_of(condition, name) for name in plan.classifiers):
            raise ParameterError(
                f"condition {condition!r} of the study has no clip; look at its without and snr_db, and at data.alone"
            )


def _check_conditions(plan: Plan) -> None:
    """Every condition can be made of one of its first clips, and what needs the truth has it."""
    oracles = [a.name for a in plan.runs if a.method in ORACLES]
    for name, prepare in plan.preparations().items():
        failure: OtoscopeError | None = None
        for i in plan.clips_of(name)[:5]:
            try:
                clip = prepare(plan.examples[i], plan.names[i])
            except OtoscopeError as error:  # the clip's own, or the condition's: another clip tells
                failure = error
                continue
            if oracles and clip.true is None:
                raise ParameterError(
                    f"method {oracles[0]!r} of the study needs clips of which a stem is known, and of {clip.name} under "
                    f"{name!r} none is; use mixtures, scenes or a planted cue, or leave it out"
                )
            break
        else:
            if failure is not None:
                raise failure


def _check_domains(plan: Plan, name: str, classifier: Classifier) -> None:
    for run in plan.runs_of(name):
        if dict(run.request.domain.settings).get("source") == "stems":
            continue  # depends on the files of each clip
        try:
            explained, scored = (
                r.domain.grid(classifier.sample_rate, classifier).shape for r in (run.request, run.scored)
            )
        except OtoscopeError as error:
            raise UnsupportedError(
                f"classifier {name!r} does not support the domain {run.domain!r}: {error}"
            ) from error
        if explained != scored:
            raise ParameterError(
                f"method {run.name!r} of the study is explained on a grid of {explained} and scored on one of {scored}; "
                "scored_in needs the same grid"
            )
