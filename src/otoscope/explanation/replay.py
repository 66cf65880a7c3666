"""Reproduce an explanation from its own record."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from otoscope.attribution.background import background_digest
from otoscope.audio import AudioSource
from otoscope.classifiers import load_classifier
from otoscope.core.errors import AudioReadError, OtoscopeError
from otoscope.core.files import read_json
from otoscope.explanation.explain import explain, open_sound
from otoscope.explanation.explanation import Explanation
from otoscope.explanation.request import resolve_model


def replay(
    record: str | os.PathLike[str] | dict[str, Any], audio: Any = None, model: Any = None, **changes: Any
) -> Explanation:
    """Reproduce an explanation from its record.

    Parameters
    ----------
    record : path or dict
        An ``explanation.json``, or its content.
    audio : optional
        The sound, where it is not at its old place. It must be the same sound.
    model : optional
        The classifier, where it was not loaded by name. It must have the same weights.
    **changes
        Settings of `explain` that shall differ.

    Returns
    -------
    Explanation

    Raises
    ------
    OtoscopeError
        If the record is damaged, or sound or weights are not those of the record.

    Examples
    --------
    >>> import otoscope, numpy as np
    >>> noise = np.random.default_rng(0).normal(size=32000) / 10
    >>> e = otoscope.explain(noise, sample_rate=32000, method="input_x_gradient")
    >>> again = otoscope.replay(e.record(), audio=e.source)
    >>> bool(np.array_equal(again.kept.samples, e.kept.samples))
    True
    """
    found = record if isinstance(record, dict) else read_json(record, "the record")
    try:
        origin, said, environment = found["model"]["origin"], found["request"], found["environment"]
        digests = found["audio"]["sha256"], found["model"]["sha256"]
        options = {**said, "target": found["target"]["index"], "seed": environment["seed"]}
        options |= {"batch_size": environment["batch_size"], "device": environment["device"]}
        path, method, name = found["file"], said["method"], found["model"]["name"]
        named = (origin["name"], origin["weights"], origin.get("labels"), origin.get("options")) if origin else None
        others = [other for other in _others(found) if other.option not in changes]
        unknown = set(said) - {"method", "domain", "mask"}
    except (KeyError, TypeError, AttributeError) as error:
        raise OtoscopeError(f"the record lacks {error}; is it an explanation.json of this version?") from error
    if unknown or not all(isinstance(text, str) for text in (path, environment["device"], *said.values())):
        raise OtoscopeError(
            "the record's file, request or device is damaged; is it an explanation.json of this version?"
        )
    if model is None:
        if named is None:
            raise OtoscopeError(f"the record does not say how to load classifier {name!r}; pass model=")
        model = load_classifier(*named)
    classifier = resolve_model(model)
    if classifier.digest() != digests[1]:
        raise OtoscopeError(f"the weights of {classifier.name!r} are not those of the record; pass the same model")
    source = _open(path, audio)
    if source.digest() != digests[0]:
        raise OtoscopeError(f"{source.source} is not the sound of the record; pass the same sound with audio=")
    if method.startswith("captum:") and "method" not in changes:
        raise OtoscopeError(f"the record's method {method} is an object; pass it with method=")
    options |= {other.option: other.value for other in others}
    if _generator(found) is not None:
        options.pop("mask")  # it describes the generated sound
    made: Explanation = explain(source, classifier, **{**options, **changes})
    for other in others:
        if not other.same(made):
            raise OtoscopeError(f"{other.what} are not those of the record; {other.advice}, or pass {other.option}=")
    return made


class _Other(NamedTuple):
    """What an explanation depends on besides sound and weights; its path may hold commas, which a spec may not."""

    option: str
    value: tuple[str, dict[str, Any]]
    same: Callable[[Explanation], bool]
    what: str
    advice: str


def _others(found: dict[str, Any]) -> list[_Other]:
    """What a record names: an autoencoder, stems, a background."""
    out, method, cells = [], found["method"], found["domain"]
    generator = _generator(found)
    if generator is not None:
        weights = generator["sha256"]
        out.append(
            _Other(
                "method",
                (method["name"], method["settings"]),
                lambda made: made.generated is not None and made.generated.facts.get("sha256") == weights,
                "the autoencoder's weights",
                "name the same one",
            )
        )
    if "stems" in cells:
        stems = cells["stems"]
        out.append(
            _Other(
                "domain",
                (cells["name"], cells["settings"]),
                lambda made: made.rendition is not None and made.rendition.facts.get("stems") == stems,
                "the stems",
                "name the folder that holds them",
            )
        )
    if "background" in method:
        place, sounds = method["background"]["path"], method["background"]["sha256"]
        chosen = place, method["settings"]["per_class"], found["environment"]["seed"]
        out.append(
            _Other(
                "method",
                (method["name"], {**method["settings"], "background": place}),
                lambda _made: background_digest(*chosen) == sounds,
                f"the sounds of the background {place}",
                "put them back",
            )
        )
    return out


def _generator(found: dict[str, Any]) -> dict[str, Any] | None:
    """The facts of the method that generated the sound; records of version 0.1 call them ``autoencoder``."""
    return found.get("generator", found.get("autoencoder"))


def _open(path: str, audio: Any) -> AudioSource:
    if audio is not None:
        return open_sound(audio)
    try:
        return open_sound(path)
    except AudioReadError as error:
        raise AudioReadError(path, f"{error.reason}, or pass the sound with audio=") from error
