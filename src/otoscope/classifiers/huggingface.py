"""Hugging Face models: any audio classifier of transformers, and CLAP with labels; from a folder or from the hub.

Their feature extractors cut the gradient, so front ends are reimplemented in torch, and on every load the result is held
against the model's own processor. Code that comes with a model is never run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.hf_check import check_front_end, not_together, reason_of
from otoscope.classifiers.hf_networks import HfParts, ast_parts, bert_parts, clap_parts, raw_parts, whisper_parts
from otoscope.classifiers.labels import label_names, yes_or_no
from otoscope.classifiers.outputs import Readout
from otoscope.classifiers.weights import load_strictly, read_state
from otoscope.core.errors import DownloadError, ParameterError, UnsupportedError, WeightsError
from otoscope.core.runtime import require

log = logging.getLogger("otoscope")

PARTS: dict[str, Callable[[Any, Any], HfParts]] = {
    "ASTFeatureExtractor": ast_parts,
    "SeamlessM4TFeatureExtractor": bert_parts,
    "Wav2Vec2FeatureExtractor": raw_parts,
    "WhisperFeatureExtractor": whisper_parts,
}
EXTRACTOR_FILES = ("preprocessor_config.json", "processor_config.json")
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
SMALL_FILES = (
    "config.json",
    *EXTRACTOR_FILES,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "README.md",
)


def load_huggingface(
    source: str, weights: str | os.PathLike[str] = "published", labels: int | Sequence[str] | None = None
) -> Classifier:
    """A Hugging Face audio classifier, or CLAP with labels.

    Parameters
    ----------
    source : str
        A folder, or ``owner/name`` on the hub, there also ``owner/name@revision``.
    weights : "published", "random" or path
        A path is a state_dict that must fit strictly.
    labels : int or sequence of str, optional
        None takes the model's own. Others need weights that are random or from a file. CLAP needs texts.

    Returns
    -------
    Classifier
        In evaluation mode. ``info`` holds ``frontend_difference``: the largest difference of its logits from those by
        the model's own processor on a test signal, with ``frontend_tolerance``.

    Raises
    ------
    FrontEndMismatchError
        If the difference is beyond the tolerance.
    DownloadError
        If the hub is out of reach, or does not have the model.
    UnsupportedError
        For models of another task, or that need code of their own.
    WeightsError, ParameterError, MissingExtraError
    """
    folder, revision = find_folder(source, weights == "published")
    described = read_config(folder)
    transformers = require("transformers", "hf", "loading Hugging Face models")
    with quiet(transformers):
        config = _config(transformers, folder, described)
        extractor = _extractor(transformers, folder)
        if described["model_type"] == "clap":
            classifier, reference = _clap(transformers, folder, config, extractor, weights, labels)
        else:
            classifier, reference = _classification(transformers, folder, config, extractor, weights, labels)
        classifier.name = folder.resolve().name if revision is None else source
        classifier.info |= {
            "source": f"hf:{source}",
            "revision": revision,
            "model_type": described["model_type"],
            "licence": licence_of(folder),
            "weights": "random" if weights == "random" else "published" if weights == "published" else str(weights),
        }
        check_front_end(classifier, extractor, reference)
    return classifier


def find_folder(source: str, with_weights: bool) -> tuple[Path, str | None]:
    """A model's folder, fetched from the hub if needed, and the hub's revision.

    Raises
    ------
    ParameterError, DownloadError, MissingExtraError
    """
    folder = Path(source).expanduser()
    if source and folder.is_dir():
        return folder, None
    name, _, revision = source.partition("@")
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name, re.ASCII) or source.endswith("@"):
        raise ParameterError(
            f"hf:{source} is neither a folder that exists nor a model on the Hugging Face hub (owner/name, or "
            "owner/name@revision)"
        )
    hub = require("huggingface_hub", "hf", "loading from the Hugging Face hub")
    wanted = [*SMALL_FILES, "model*.safetensors", "model.safetensors.index.json"] if with_weights else SMALL_FILES
    try:
        found = Path(hub.snapshot_download(name, revision=revision or None, allow_patterns=list(wanted)))
        if with_weights and not any((found / file).is_file() for file in WEIGHT_FILES):
            hub.snapshot_download(name, revision=revision or None, allow_patterns=["pytorch_model*"])
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise DownloadError(
            f"could not fetch {source} from the Hugging Face hub ({reason}); check the name, the revision and the network, "
            "or give a folder"
        ) from error
    return found, found.name


def read_config(folder: Path) -> dict[str, Any]:
    """The content of ``config.json``, with at least ``model_type``.

    Raises
    ------
    WeightsError
        If the folder is not a Hugging Face model.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{folder} is not a Hugging Face model: config.json is missing or damaged") from error
    if isinstance(config, dict) and {"architecture", "settings"} <= set(config):
        raise WeightsError(f"{folder} is a model folder of Otoscope, not of Hugging Face; give it without hf:")
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise WeightsError(f"{folder} is not a Hugging Face model: config.json names no model_type")
    return config


def licence_of(folder: Path) -> str:
    """The licence that the model card's header names, or ``"not recorded"``."""
    try:
        card = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return "not recorded"
    header = re.match(r"---\s*\n(.*?)\n---", card, re.S)
    named = re.search(r"^license:[ \t]*(\S.*?)[ \t]*$", header[1], re.M) if header else None
    return named[1].strip("'\"") if named else "not recorded"


@contextlib.contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """No bars and no notices of transformers while the block runs."""
    notices = transformers.utils.logging
    level, bars = notices.get_verbosity(), notices.is_progress_bar_enabled()
    notices.set_verbosity(logging.CRITICAL)
    notices.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        notices.set_verbosity(level)
        if bars:
            notices.enable_progress_bar()


def _config(transformers: Any, folder: Path, described: dict[str, Any]) -> Any:
    kind = described["model_type"]
    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        own = "brings code of its own, which is never run" if "auto_map" in described else "is not known"
        raise UnsupportedError(
            f"{folder}: a model of type {kind!r} {own} (transformers {transformers.__version__}); wrap it with otoscope.wrap"
        ) from error
    known = transformers.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING
    if kind != "clap" and type(config) not in known:
        was = ", ".join(described.get("architectures") or [kind])
        raise UnsupportedError(
            f"{folder} holds {was}, which does not classify sounds; give a model for audio classification "
            f"({', '.join(sorted(c.model_type for c in known))}) or CLAP"
        )
    return config


def _extractor(transformers: Any, folder: Path) -> Any:
    if not any((folder / file).is_file() for file in EXTRACTOR_FILES):
        raise WeightsError(
            f"{folder} has no {EXTRACTOR_FILES[0]}: the model's input format is unknown; save the feature "
            "extractor with the model"
        )
    try:
        extractor = transformers.AutoFeatureExtractor.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:
        raise WeightsError(
            f"{folder}: {EXTRACTOR_FILES[0]} describes no feature extractor ({reason_of(error)})"
        ) from error
    if getattr(extractor, "dither", 0):
        extractor.dither = 0.0  # random noise
    return extractor


def _classification(
    transformers: Any, folder: Path, config: Any, extractor: Any, weights: Any, labels: Any
) -> tuple[Classifier, Callable[[dict[str, Tensor]], Tensor]]:
    """An audio classifier, and a function from its own processor's output to logits."""
    check_task(str(folder), config, extractor)
    own = own_labels(config)
    names = label_names(labels, own)
    if names != own:
        if weights == "published":
            raise ParameterError(f"{folder} has classes of its own; other labels need weights='random' or a file")
        config.id2label, config.label2id = dict(enumerate(names)), {name: i for i, name in enumerate(names)}
    model = _model(transformers.AutoModelForAudioClassification, config, folder, weights)
    return audio_classifier(model, extractor, names, str(folder))


def check_task(where: str, config: Any, extractor: Any) -> None:
    """Refuse models that are not classifiers or have no front end here."""
    if config.problem_type == "regression":
        raise UnsupportedError(f"{where} gives numbers, not classes (problem_type is regression)")
    kind = type(extractor).__name__
    if kind not in PARTS:
        raise UnsupportedError(
            f"{where}: no front end for {kind} with {config.model_type}; there are {', '.join(PARTS)}, and CLAP's; "
            "wrap the model with otoscope.wrap"
        )


def own_labels(config: Any) -> list[str]:
    """The labels of a configuration, in order."""
    return [str(name) for _, name in sorted(config.id2label.items())]


def audio_classifier(
    model: Any, extractor: Any, names: list[str], where: str
) -> tuple[Classifier, Callable[[dict[str, Tensor]], Tensor]]:
    """The classifier of a model in evaluation mode, and a function from its own processor's output to logits."""
    kind, config = type(extractor).__name__, model.config
    try:
        parts = PARTS[kind](model, extractor)
    except (AttributeError, TypeError, RuntimeError) as error:
        raise not_together(where, config, kind, error) from error
    multilabel = config.problem_type == "multi_label_classification" and len(names) > 1
    classifier = _classifier(parts, extractor, names, multilabel, binary=len(names) == 1)

    def reference(inputs: dict[str, Tensor]) -> Tensor:
        logits = model(**inputs, return_dict=True).logits
        return classifier.readout(logits, len(logits), len(classifier.labels))

    return classifier, reference


def _clap(
    transformers: Any, folder: Path, config: Any, extractor: Any, weights: Any, labels: Any
) -> tuple[Classifier, Callable[[dict[str, Tensor]], Tensor]]:
    """CLAP with the embeddings of labels, and a function from its own processor's output to logits."""
    if labels is None or isinstance(labels, int):
        raise ParameterError(
            f"{folder} is CLAP, which compares sounds with texts: labels must be what to listen for, such as "
            "'a dog barking,rain'"
        )
    names = [str(label).strip() for label in labels]
    if len(names) < 2 or not all(names) or len(set(names)) < len(names):
        raise ParameterError(f"labels for CLAP must be at least two different texts, which are compared; got {names}")
    kind = type(extractor).__name__
    if kind != "ClapFeatureExtractor":
        raise UnsupportedError(f"{folder}: no front end for {kind} with CLAP; it must be ClapFeatureExtractor")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        tokens = dict(tokenizer(names, padding=True, return_tensors="pt"))
    except Exception as error:
        raise WeightsError(f"{folder}: the tokenizer for CLAP's labels cannot be read ({reason_of(error)})") from error
    tokens = {key: tokens[key] for key in ("input_ids", "attention_mask")}
    most = int(config.text_config.max_position_embeddings) - 2
    if tokens["input_ids"].shape[1] > most:
        raise ParameterError(f"a label for CLAP has {tokens['input_ids'].shape[1]} tokens; at most {most} fit")
    model = _model(transformers.ClapModel, config, folder, weights)
    try:
        with torch.no_grad():
            text = model.text_projection(model.text_model(**tokens, return_dict=True).pooler_output)
        parts = clap_parts(model, extractor, torch.nn.functional.normalize(text, dim=-1))
    except (AttributeError, TypeError, RuntimeError, IndexError) as error:
        raise not_together(folder, config, kind, error) from error
    return _classifier(parts, extractor, names, False), lambda inputs: model(**tokens, **inputs).logits_per_audio


def _classifier(
    parts: HfParts, extractor: Any, labels: list[str], multilabel: bool, binary: bool = False
) -> Classifier:
    info = {} if parts.window_s is None else {"window_s": parts.window_s, "longer_clips": parts.beyond}
    return Classifier(
        parts.network,
        sample_rate=int(extractor.sampling_rate),
        labels=yes_or_no(labels[0]) if binary else labels,
        multilabel=multilabel,
        frontend=parts.frontend,
        readout=Readout(multilabel=multilabel, binary=binary),
        cam_layer=parts.cam_layer,
        axes=parts.axes,
        places=parts.places,
        head=parts.head,
        info=info,
        window_s=None if (parts.beyond or "").startswith("fused") else parts.window_s,  # what lies beyond is not heard
    ).eval()


def _model(kind: Any, config: Any, folder: Path, weights: Any) -> Any:
    """The model in evaluation mode with its weights, in float32."""
    if weights == "published":
        return _published(kind, config, folder).float().eval()
    build = getattr(kind, "from_config", kind)
    model = build(config).float().eval()
    if weights != "random":
        _load_file(model, config, weights)
    return model.float().eval()


def _published(kind: Any, config: Any, folder: Path) -> Any:
    if not any((folder / file).is_file() for file in WEIGHT_FILES):
        raise WeightsError(f"{folder} has no weights ({' or '.join(WEIGHT_FILES[::2])}); weights='random' needs none")
    try:
        model, found = kind.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **_in_float32(),
        )
    except Exception as error:
        raise WeightsError(f"the weights in {folder} cannot be read ({reason_of(error)})") from error
    missing = sorted(key for key in found["missing_keys"] if not key.endswith("masked_spec_embed"))
    if missing or found["mismatched_keys"]:
        was = ", ".join(config.architectures or [config.model_type])
        raise WeightsError(
            f"the weights in {folder} are not those of a {type(model).__name__}: {len(missing)} missing "
            f"({', '.join(missing[:3])}); it was saved as {was}, without a classifier of sounds that fits"
        )
    return model


def _in_float32() -> dict[str, torch.dtype]:
    """The argument that makes transformers load weights in float32."""
    version = str(require("transformers", "hf", "loading Hugging Face models").__version__)
    return {"dtype" if int(version.split(".")[0]) >= 5 else "torch_dtype": torch.float32}


def _load_file(model: Any, config: Any, weights: str | os.PathLike[str]) -> None:
    """Weights from a file, with today's names or with those of the published files."""
    state = read_state(weights)
    try:
        load_strictly(model, state, str(weights))
    except WeightsError:
        try:
            other, found = type(model).from_pretrained(
                None, config=config, state_dict=state, output_loading_info=True, trust_remote_code=False
            )
        except Exception:  # noqa: BLE001 - what is wrong is in the first error
            other, found = None, {"error_msgs": ["does not fit"]}
        if any(found.values()):
            raise
        model.load_state_dict(other.state_dict())
