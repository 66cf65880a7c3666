"""What the studio has open: a model, clips, a folder to write to, and at most one job."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from otoscope.classifiers.base import Classifier
from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.files import check_writable
from otoscope.datasets import Dataset

log = logging.getLogger(__name__)
SPLITS = ("training", "validation", "test")


class BusyError(OtoscopeError):
    """The studio is doing, or was asked to do on top of, something else: look again, then repeat."""


class BackgroundJob:
    """Something that takes long, in a thread of its own, with progress and a way to stop it.

    Parameters
    ----------
    name : str
        What it is, for people.
    total : int
        Steps that it takes.
    """

    def __init__(self, name: str, total: int):
        self.name, self.total, self.done = name, total, 0
        self.loss: float | None = None
        self.state, self.error = "running", ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, work: Callable[[BackgroundJob], object]) -> None:
        """Run ``work(job)`` in the background."""

        def run() -> None:
            try:
                work(self)
                self.state = "done"
            except OtoscopeError as error:
                self.state, self.error = ("cancelled", "") if self._stop.is_set() else ("failed", str(error))
            except BaseException as error:  # whatever ends the thread: the job is not running any more
                log.exception("%s failed", self.name)
                self.state, self.error = (
                    "failed",
                    f"unexpected {type(error).__name__}: {error}; see the log of the studio in the terminal",
                )

        self._thread = threading.Thread(target=run, name="otoscope-job", daemon=True)
        self._thread.start()

    def step(self, done: int, loss: float | None = None) -> bool:
        """Note progress, and the loss of what is trained; true if the job is to stop."""
        self.done, self.loss = done, loss
        return self._stop.is_set()

    def cancel(self) -> None:
        """Ask it to stop after the step that it is at."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Until it has ended."""
        if self._thread is not None:
            self._thread.join(seconds)

    def row(self) -> dict[str, Any]:
        """What the page shows of it."""
        return {
            "name": self.name, "total": self.total, "done": self.done, "loss": self.loss, "state": self.state,
            "error": self.error,
        }  # fmt: skip


class Workspace:
    """What the studio has open.

    Parameters
    ----------
    model : Classifier
        The model.
    data : mapping of str to Dataset
        Clips under ``training``, ``validation`` and ``test``; at least the first.
    folder : path
        The only folder that the studio writes to; made if needed.
    progress : callable, optional
        Called with a line of text when something is done at the start.

    Raises
    ------
    ParameterError
        If there are no training clips.

    Examples
    --------
    >>> work = Workspace(model, {"training": data}, "studio")
    >>> work.counts()
    {'training': 18}
    """

    def __init__(
        self,
        model: Classifier,
        data: Mapping[str, Dataset],
        folder: str | os.PathLike[str],
        progress: Callable[[str], None] | None = None,
    ):
        if strange := sorted(set(data) - set(SPLITS)):
            raise ParameterError(f"clips are {', '.join(SPLITS)}; got {strange[0]}")
        if not len(data.get("training", ())):
            raise ParameterError(
                "the studio needs training clips; give --data and --root, and leave folds for training"
            )
        self.model, self.data = model, dict(data)
        self.folder = check_writable(Path(folder))
        self.progress = progress or (lambda line: None)
        self.lock = threading.RLock()
        self.job: BackgroundJob | None = None
        self._opened: dict[str, Any] = {}

    def counts(self) -> dict[str, int]:
        """Number of clips in each part."""
        return {name: len(self.data[name]) for name in SPLITS if name in self.data}

    def opened(self, name: str, kind: Callable[[Workspace], Any]) -> Any:
        """What a view keeps of the workspace, made once; it has a method ``close``."""
        with self.lock:
            if name not in self._opened:
                self._opened[name] = kind(self)
            return self._opened[name]

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self.job is not None and self.job.state == "running"

    def begin(self, name: str, total: int, work: Callable[[BackgroundJob], object]) -> BackgroundJob:
        """Start a job.

        Raises
        ------
        BusyError
            If one is running.
        """
        with self.lock:
            if self.busy and self.job is not None:
                raise BusyError(f"{self.job.name} is running; wait for it or cancel it, then try again")
            self.job = BackgroundJob(name, total)
            self.job.start(work)
            return self.job

    def close(self) -> None:
        """Stop what is running, and close what views keep."""
        if self.job is not None:
            self.job.cancel()
            self.job.wait(10)
        for kept in self._opened.values():
            kept.close()
        self._opened.clear()
