"""Names of classes: read from what a user has, and matched between a data set and a classifier."""

from __future__ import annotations

import ast
import contextlib
import csv
import json
import logging
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otoscope.core.errors import ParameterError

if TYPE_CHECKING:
    import os

    from otoscope.classifiers.base import Classifier

log = logging.getLogger("otoscope")
TEXT_KEYS = ("labels", "id2label", "label2id", "classes", "class_names", "names")
NAME_COLUMNS = ("display_name", "label", "name", "category", "class", "common_name")
NUMBER_COLUMNS = ("index", "id", "target", "number", "class_id", "label_id")


def label_names(labels: Any, default: Sequence[str] = ()) -> list[str]:
    """Names of the classes, in order.

    Parameters
    ----------
    labels : int, sequence of str, mapping, path or None
        How many classes, or their names. A mapping has numbers and names, either way round, as ``id2label`` and ``label2id`` of
        Hugging Face have. A path, or a text ``@FILE``, is read by `read_labels`. None takes the default.
    default : sequence of str
        Names if there are none, or if ``labels`` is their number.

    Raises
    ------
    ParameterError
        If there is none, their order is unknown, or the names are not different texts.
    """
    if labels is None:
        return list(default)
    check_kind_of_labels(labels)
    if isinstance(labels, int):
        names: list[Any] = list(default) if labels == len(default) else [f"class {i}" for i in range(labels)]
    elif isinstance(labels, Mapping):
        names = _in_order(labels, "labels")
    else:
        names = list(labels) if _is_list(labels) else read_labels(str(labels).removeprefix("@"))
    if not names:
        raise ParameterError(f"labels must be at least one class; got {labels!r}")
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise ParameterError(f"labels must be texts that are not empty; got {name!r} as number {index}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ParameterError(f"labels must be different; {twice!r} came {names.count(twice)} times")
    return names


def check_kind_of_labels(labels: object) -> None:
    """Refuse labels whose order is unknown, and values that are not labels.

    Raises
    ------
    ParameterError
    """
    if isinstance(labels, Set) and not isinstance(labels, Mapping):
        raise ParameterError(
            f"labels are in the order of the model's outputs, and a {type(labels).__name__} has none; pass a list"
        )
    if isinstance(labels, str) and not labels.startswith("@"):
        raise ParameterError(
            f"labels must be a number or a list of names; got the text {labels!r}; for one class pass [{labels!r}], for a file "
            f"'@{labels}'"
        )
    if isinstance(labels, bool | bytes) or not (isinstance(labels, int | Mapping | str | Path) or _is_list(labels)):
        raise ParameterError(f"labels must be a whole number or a list of names; got {labels!r}")


def read_labels(path: str | os.PathLike[str]) -> list[str]:
    """Names of classes from a file.

    Parameters
    ----------
    path : path
        JSON: a list, a mapping either way round, or a Hugging Face ``config.json``. CSV or TSV: a header with a column of names
        (``display_name``, ``label``, ``name``, ...), sorted by a column of numbers (``index``, ``id``, ...) if there is one.
        Any other text: one name per line.

    Returns
    -------
    list of str

    Raises
    ------
    ParameterError
        If the file cannot be read or holds no names.
    """
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ParameterError(f"the labels in {file} cannot be read: {reason}") from error
    kind = file.suffix.casefold()
    if kind == ".json":
        return _of_json(text, file)
    if kind in (".csv", ".tsv"):
        return _of_table(text, "\t" if kind == ".tsv" else ",", file)
    return [line.strip() for line in text.splitlines() if line.strip()]


def labels_of_text(properties: Mapping[str, str]) -> list[str] | None:
    """Names of classes from the texts that a model file holds of itself; None if there are none that can be read.

    Parameters
    ----------
    properties : mapping of str to str
        Under ``labels``, ``id2label``, ``label2id``, ``classes``, ``class_names`` or ``names``: a list or a mapping, as JSON or as
        Python writes it, or one name per line.
    """
    text = next((properties[key].strip() for key in TEXT_KEYS if properties.get(key, "").strip()), None)
    if text is None:
        return None
    if text.isdecimal() or text in ("null", "None"):
        return None
    found: Any = None
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            found = read(text)
            break
    if not isinstance(found, list | dict):
        parts = text.splitlines() if "\n" in text or "," not in text else text.split(",")
        found = [part.strip() for part in parts if part.strip()]
    try:
        return label_names(found)
    except (ParameterError, ValueError) as error:
        log.warning("the labels that the file holds are left out: %s", error)
        return None


def yes_or_no(label: str) -> list[str]:
    """Names of the two answers to the question whether a class is there, that of its absence first."""
    return [f"not {label}", label]


def _is_list(labels: object) -> bool:
    return isinstance(labels, Sequence) and not isinstance(labels, str | bytes)


def _of_json(text: str, file: Path) -> list[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"the labels in {file} are not valid JSON: {error}") from error
    if isinstance(found, dict):
        found = next((found[k] for k in ("id2label", "label2id", "labels") if found.get(k)), found)
    if isinstance(found, dict):
        return _in_order(found, str(file))
    if not isinstance(found, list):
        raise ParameterError(f"{file} must hold a list of labels, or a mapping of numbers and labels")
    return found


def _of_table(text: str, delimiter: str, file: Path) -> list[str]:
    rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    header = [cell.strip().casefold() for cell in rows[0]] if rows else []
    names = next((header.index(n) for n in NAME_COLUMNS if n in header), None)
    if names is None:
        if any(len(row) != 1 for row in rows):
            raise ParameterError(
                f"{file} has no column of labels; its header must name one of {', '.join(NAME_COLUMNS)}; got {', '.join(header)}"
            )
        return [row[0].strip() for row in rows]
    numbers = next((header.index(n) for n in NUMBER_COLUMNS if n in header and header.index(n) != names), None)
    if any(len(row) <= max(names, numbers or 0) for row in rows):
        raise ParameterError(f"{file} has rows with fewer columns than its header")
    found = [row[names].strip() for row in rows[1:]]
    if numbers is None:
        return found
    return _in_order(dict(zip((row[numbers].strip() for row in rows[1:]), found, strict=True)), str(file), len(found))


def _in_order(mapping: Mapping[Any, Any], where: str, rows: int | None = None) -> list[str]:
    """Names by their numbers, from a mapping either way round."""
    numbers, names = [_number(k) for k in mapping], list(mapping.values())
    if None in numbers:
        numbers, names = [_number(v) for v in mapping.values()], list(mapping)
    if None in numbers:
        raise ParameterError(f"{where} must map numbers to names, or names to numbers; got {_some(mapping)}")
    if sorted(numbers) != list(range(len(numbers))) or rows not in (None, len(numbers)):  # type: ignore[type-var]
        raise ParameterError(
            f"{where} must number the classes from 0 to {(rows or len(numbers)) - 1}, each once; got "
            f"{', '.join(map(str, sorted(numbers)[:8]))}"  # type: ignore[type-var]
        )
    return [name for _, name in sorted(zip(numbers, names, strict=True), key=lambda pair: pair[0] or 0)]


def _number(value: object) -> int | None:
    """A class number from an int or a text of digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else None


def _some(mapping: Mapping[Any, Any]) -> str:
    return ", ".join(f"{k!r}: {v!r}" for k, v in list(mapping.items())[:3])


def class_numbers(labels: Sequence[str], classifier: Classifier, optional: bool = False) -> list[int]:
    """The classifier's index of each label; capitals, spaces and underscores are ignored.

    Parameters
    ----------
    labels : sequence of str
        Names of the data set's classes.
    classifier : Classifier
        The classifier.
    optional : bool
        Return an empty list, instead of an error, if a class is unknown.

    Raises
    ------
    ParameterError
        If the classifier lacks one of them.
    """
    known = {_folded(label): i for i, label in enumerate(classifier.labels)}
    strange = [label for label in labels if _folded(label) not in known]
    if strange and optional:
        return []
    if strange:
        raise ParameterError(
            f"classifier {classifier.name!r} has no class {', '.join(map(repr, strange[:5]))} of the data set; use one that "
            "was trained on these classes, or classifier.targets=own, which takes its predictions for the originals"
        )
    return [known[_folded(label)] for label in labels]


def _folded(label: str) -> str:
    return " ".join(label.casefold().replace("_", " ").split())
