"""Run folders: which recipe owns them, what they hold, and the machine that wrote them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.files import write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.core.runtime import versions

PARTS = (  # one exists after the first epoch of a training, or the first part of a study
    "last.ckpt", "model", "results.json", "fold-*", "parts", "results.parquet",
)  # fmt: skip


class Runnable(Protocol):
    """A recipe that can own a run folder."""

    @property
    def out(self) -> str:
        """The folder's name."""
        ...

    def identity(self) -> dict[str, Any]:
        """The settings that identify the run."""
        ...


def out_folder(recipe: Runnable, what: str = "run") -> Path:
    """The folder that a recipe names; a file is refused."""
    out = Path(recipe.out)
    if out.exists() and not out.is_dir():
        raise ParameterError(f"out={out} is a file; give the {what} a folder of its own")
    return out


def ensure_same_recipe(out: Path, recipe: Runnable, parts: Sequence[str] = PARTS, what: str = "run") -> None:
    """Refuse a folder that holds another run; execution settings (threads, workers, devices) may differ.

    A folder without any of ``parts`` is free for any recipe.
    """
    file = out / "recipe.json"
    begun = any(True for part in parts for _ in out.glob(part))
    if begun and file.is_file() and read_json(file) != json.loads(json.dumps(recipe.identity())):
        raise OtoscopeError(f"{out} holds a {what} of another recipe ({file}); give out=FOLDER or move it away")


def reserve(out: Path, recipe: Runnable) -> None:
    """Record that the folder belongs to this recipe."""
    write_text(out / "recipe.json", json.dumps(recipe.identity(), indent=1))


def read_json(file: Path) -> dict[str, Any]:
    """A mapping that a run wrote, or an `OtoscopeError`."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise OtoscopeError(f"{file} is damaged ({type(error).__name__}); move the run's folder away") from error
    if not isinstance(content, dict):
        raise OtoscopeError(f"{file} is damaged; move the run's folder away")
    return content


def write_json(file: Path, content: Any) -> Any:
    """Write plain data with NaN as null; the content as it was written."""
    content = to_jsonable(content)
    write_text(file, json.dumps(content, indent=1) + "\n")
    return content


def made_here() -> dict[str, Any]:
    """Machine and package versions, for a record."""
    return {"versions": versions(), "cpus": os.cpu_count() or 0, "machine": platform.machine()}
