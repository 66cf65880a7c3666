"""The front door for classifiers: names, architectures with settings, folders, Hugging Face models, your own code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from otoscope.classifiers.architecture import build
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.examine import examine
from otoscope.classifiers.files import ENDINGS, load_file
from otoscope.classifiers.folder import load_folder
from otoscope.classifiers.labels import label_names
from otoscope.classifiers.weights import load_strictly, read_state
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, WeightsError
from otoscope.core.files import read_json

# Networks that were written here are tested here; others are tried on synthetic sounds when they are loaded.
OWN = ("otoscope.classifiers.", "otoscope.autoencoders.")


def load_classifier(
    name: str | os.PathLike[str] = "esc10-mn",
    weights: str | os.PathLike[str] = "published",
    labels: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Classifier:
    """A classifier by name, from a model folder, or from a file.

    Parameters
    ----------
    name : str or path
        - a registered name (``otoscope models`` lists them), such as ``mn04_as``;
        - an architecture with settings, such as ``mn,width=0.4``;
        - a folder with ``model.safetensors`` and ``config.json``;
        - a file that holds a whole model: TorchScript, ``.pt2``, ``.onnx`` or ``.tflite`` (see `load_file`);
        - ``hf:ID-or-folder``: a Hugging Face audio classifier, or CLAP with ``labels``;
        - ``module:callable``: your own code, which returns a `Classifier`.
    weights : "published", "random" or path
        Published weights are fetched once into the cache (built-in ones are in the package); random ones depend on
        torch's global seed; a path is a state_dict that must fit strictly.
    labels : int, sequence of str, mapping or path, optional
        How many classes, or their names, as `otoscope.wrap` takes them; None takes the published ones.
    options : mapping, optional
        Of `otoscope.wrap`, for files, which seldom state them: ``sample_rate``, ``outputs``, ``window_s``, ... With any model,
        ``layer`` (and ``exclusive``): the features of that layer in place of the classes, as `layer_features` makes them.

    Returns
    -------
    Classifier
        In evaluation mode, on the CPU.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    ParameterError
        If an argument is of another type or empty, labels are not different, or your own code fails.
    WeightsError, DownloadError
        If weights are missing, damaged, unsafe, of another shape or out of reach.

    Examples
    --------
    >>> import otoscope
    >>> otoscope.load_classifier("esc10-mn").labels[:2]
    ('dog', 'rooster')
    """
    _check_arguments(name, weights)
    if labels is not None:
        labels = labels if isinstance(labels, int) and label_names(labels) else label_names(labels)
    own = dict(options or {})
    layer, exclusive = own.pop("layer", None), own.pop("exclusive", False)
    with _own_randomness(weights):
        model = _load(name, weights, labels, own).eval()
        if "checks" not in model.info and not type(model.network).__module__.startswith(OWN):
            examine(model)
    model.origin = {
        "name": _absolute(str(name)),
        "weights": str(weights if weights in ("published", "random") else Path(weights).resolve()),
        "labels": labels if labels is None else list(model.labels),
        **({"options": own} if own else {}),
    }
    if layer is None:
        return model
    from otoscope.classifiers.layer_features import layer_features

    return layer_features(model, str(layer), bool(exclusive))


def _check_arguments(name: object, weights: object) -> None:
    """Refuse what is of another type or empty."""
    if not isinstance(name, str | os.PathLike):
        raise ParameterError(f"a model is a name or a folder; got {name!r}; `otoscope models` lists the names")
    if not str(name).strip():
        raise ParameterError("the model's name is empty; give a name that `otoscope models` lists, or a folder")
    if not isinstance(weights, str | os.PathLike) or not str(weights).strip():
        raise ParameterError(f"weights must be 'published', 'random' or a file; got {weights!r}")


def _absolute(name: str) -> str:
    """The name, folders by their whole path, so that a record can be replayed from another folder."""
    prefix, rest = ("hf:", name[3:]) if name.startswith("hf:") else ("", name)
    known = (Path(rest) / "config.json").is_file() or (Path(rest).suffix.casefold() in ENDINGS and Path(rest).is_file())
    return prefix + str(Path(rest).resolve()) if known else name


def _load(
    name: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    labels: int | Sequence[str] | None,
    options: Mapping[str, Any],
) -> Classifier:
    folder, text = Path(name), str(name)
    if folder.suffix.casefold() in ENDINGS and folder.is_file():
        if weights != "published":
            raise ParameterError(f"the file {folder} holds its weights; leave out weights")
        return load_file(folder, labels, options)
    if options:
        raise ParameterError(
            f"options go with a model file ({', '.join(ENDINGS)}); {text!r} is not one: leave out {', '.join(options)}"
        )
    if (folder / "config.json").is_file():
        if _is_huggingface(folder):
            return _load(f"hf:{text}", weights, labels, {})
        if labels is not None:
            raise ParameterError(f"the model folder {folder} has labels of its own; leave labels out")
        return load_folder(folder, weights)
    if text.startswith("hf:"):
        from otoscope.classifiers.huggingface import load_huggingface

        return examine(load_huggingface(text.removeprefix("hf:"), weights, labels), ends=False)
    if text in registry.names("classifier"):
        return registry.get("classifier", text).target(weights=weights, labels=labels)
    if text.split(",")[0].strip() in registry.names("architecture"):
        return _architecture(text, weights, labels)
    if ":" in text and not folder.exists():
        return _own_code(text, weights, labels)
    if os.sep in text or folder.exists():
        raise WeightsError(f"{name} is not a model folder: it lacks config.json or model.safetensors")
    raise UnknownNameError("model", text, [*registry.names("classifier"), *registry.names("architecture")])


def _is_huggingface(folder: Path) -> bool:
    """Whether a folder with a ``config.json`` is a Hugging Face model rather than a model folder of ours."""
    try:
        config = read_json(folder / "config.json")
    except OtoscopeError:
        return False
    return "model_type" in config and "architecture" not in config


def _architecture(text: str, weights: str | os.PathLike[str], labels: int | Sequence[str] | None) -> Classifier:
    """An architecture with settings, with published weights if a checkpoint has exactly these settings."""
    entry, settings = registry.parse("architecture", text)
    if weights == "published":
        found = [
            e
            for e in registry.entries("classifier")
            if e.facts.get("architecture") == entry.name and entry.settings(e.facts.get("settings")) == settings
        ]
        if found:
            return found[0].target(weights=weights, labels=labels)
        raise WeightsError(
            f"no published weights for {registry.format_spec(entry, settings)!r}; give weights (a file, or 'random') or one "
            f"of {', '.join(e.name for e in registry.entries('classifier') if e.family == entry.family) or 'your own'}"
        )
    state = None if weights == "random" else read_state(weights)
    if labels is None:
        which = "random weights of" if state is None else "weights from a file for"
        raise ParameterError(f"{which} {entry.name!r} need labels: how many classes, or their names")
    model = build(entry.name, labels, settings=settings)
    if state is not None:
        load_strictly(model.network, state, str(weights))
    model.info["weights"] = str(weights)
    return model


def _imported(text: str) -> Any:
    """What ``module:attribute`` names."""
    module, _, attribute = text.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise UnknownNameError("model", text, registry.names("classifier"))
    with _import_from(os.getcwd()):
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                if not hasattr(found, part):
                    known = [n for n in dir(found) if not n.startswith("_") and callable(getattr(found, n, None))]
                    raise UnknownNameError(f"callable of {getattr(found, '__name__', module)!r}", part, known)
                found = getattr(found, part)
        except OtoscopeError:
            raise
        except (Exception, SystemExit) as error:
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            if missing and f"{module}.".startswith(f"{missing}."):
                raise ParameterError(
                    f"model {text!r}: there is no module {missing!r} in the working folder or among the installed packages"
                ) from error
            raise ParameterError(f"{module} cannot be imported: {_said(error)}") from error
    return found


def _said(error: BaseException) -> str:
    """The error's type and words in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


def _own_code(text: str, weights: str | os.PathLike[str], labels: int | Sequence[str] | None) -> Classifier:
    """What ``module:callable`` returns; the module may lie in the working folder."""
    found = _imported(text)
    try:
        made = found if isinstance(found, nn.Module) else found()
    except OtoscopeError:
        raise
    except (Exception, SystemExit) as error:
        raise ParameterError(f"{text} failed: {_said(error)}; it is called without arguments") from error
    if not isinstance(made, Classifier):
        raise ParameterError(
            f"{text} returned {type(made).__name__}, not a Classifier; "
            "return otoscope.wrap(module, sample_rate=..., labels=...)"
        )
    if labels is not None:
        raise ParameterError(f"{text} has its own labels; leave labels out")
    if weights not in ("published", "random"):
        load_strictly(made.network, read_state(weights), str(weights))
    return made


@contextlib.contextmanager
def _import_from(folder: str) -> Iterator[None]:
    """The folder in front of the import path while the block runs."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


@contextlib.contextmanager
def _own_randomness(weights: str | os.PathLike[str]) -> Iterator[None]:
    """Weights that are read leave torch's global generator alone; random ones are drawn from it."""
    if weights == "random":
        yield
        return
    with torch.random.fork_rng(devices=[]):
        yield
