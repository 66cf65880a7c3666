"""The recipes of the package, by name: ``mn``, ``data/esc10``, ``studies/first``, or the last part alone where it is enough."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError

LIBRARY = Path(__file__).resolve().parent / "library"
TRAINING = ("", "data", "planted")
STUDIES = ("studies", "data")
LIKE_TO_HEAR = ("like-to-hear", "data")
SUFFIXES = (".yaml", ".yml")


def recipe_names() -> list[str]:
    """Names of all recipes of the package, such as ``mn`` and ``data/esc10``."""
    return sorted(file.relative_to(LIBRARY).with_suffix("").as_posix() for file in LIBRARY.rglob("*.yaml"))


def about(name: str) -> str:
    """What a recipe of the package is: the comment at its head, or what it calls itself."""
    lines = (LIBRARY / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    head = itertools.takewhile(lambda line: line.startswith("#") and not line.startswith("#   "), lines)
    said = " ".join(line.removeprefix("#").strip() for line in head)
    own = [line.partition(": ")[2] for line in lines if line.startswith(("title: ", "name: "))]
    return said or own[-1]


def find_recipe(
    name: str | os.PathLike[str], folders: Sequence[str] = TRAINING, below: str | os.PathLike[str] = ""
) -> Path:
    """The file of a recipe: one that exists, else one of the package.

    Parameters
    ----------
    name : str or path
        A file; or a name (``data/esc10``), or its last part alone (``esc10``).
    folders : sequence of str
        Folders of the package in which a last part is looked up first, in this order.
    below : path
        The folder to which a relative file belongs; by default the working folder.

    Returns
    -------
    Path

    Raises
    ------
    OtoscopeError
        If it is neither; the nearest names are offered.

    Examples
    --------
    >>> from otoscope.recipes.find import find_recipe
    >>> find_recipe("esc10").name
    'esc10.yaml'
    """
    text = os.fspath(name)
    file = Path(below) / text
    try:
        if file.is_file():
            return file
    except (OSError, ValueError) as error:
        raise ParameterError(f"{text!r} cannot be the name of a recipe: {error}") from error
    found = _in_library(text, folders)
    if found is not None:
        if text.endswith(SUFFIXES):
            new = found.relative_to(LIBRARY).with_suffix("").as_posix()
            message = f"the recipe {text} is in the package now and called {new!r}; use this name"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        return found
    known = recipe_names() if "/" in _stem(text) else sorted({name.rpartition("/")[2] for name in recipe_names()})
    missing = UnknownNameError("recipe", _stem(text), known)
    if text.endswith(SUFFIXES) or isinstance(name, os.PathLike):
        hint = f"; {str(missing).partition('; ')[2]}" if missing.nearest else ""
        why = "it is a folder" if file.is_dir() else "there is no such file"
        raise OtoscopeError(f"cannot read the recipe {file}: {why}{hint}")
    raise missing


def is_in_library(file: Path) -> bool:
    """Whether a recipe is one of the package; its relative paths then belong to the working folder."""
    return file.resolve().is_relative_to(LIBRARY)


def _stem(text: str) -> str:
    """A name without the folder and the suffix that recipes had before they came into the package."""
    for suffix in SUFFIXES:
        text = text.removesuffix(suffix)
    return text.removeprefix("./").removeprefix("recipes/")


def _in_library(text: str, folders: Sequence[str]) -> Path | None:
    stem, names = _stem(text), recipe_names()
    if text.endswith(SUFFIXES) and not text.removeprefix("./").startswith("recipes/"):
        return None  # a file, and not one that was in the repository
    whole = "/" in stem or text.endswith(SUFFIXES)
    likely = [] if whole else [f"{folder}/{stem}".lstrip("/") for folder in folders]
    alike = [name for name in names if name.endswith(f"/{stem}")]
    found = [name for name in (*likely, stem) if name in names][:1] or alike
    if len(found) > 1:
        raise ParameterError(f"the name {stem!r} fits several recipes: {', '.join(found)}; give one of these")
    return LIBRARY / f"{found[0]}.yaml" if found else None
