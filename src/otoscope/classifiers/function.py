"""Any function of sounds as a classifier: a Keras model, a web service, a program. It gives no gradients."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.inspected import ClassifierError, out_of_memory
from otoscope.classifiers.outputs import Kind, Pool, entry_of
from otoscope.classifiers.wrap import wrap
from otoscope.core.errors import OtoscopeError, ParameterError, ShapeError
from otoscope.core.files import atomic_write, make_folder

log = logging.getLogger("otoscope")
KEPT_BYTES = 256 << 20  # of answers in memory

Function = Callable[[np.ndarray], Any]


def wrap_function(
    function: Function,
    *,
    sample_rate: int,
    labels: int | Sequence[str] | Mapping[Any, Any] | str | os.PathLike[str] | None = None,
    outputs: Kind | None = None,
    multilabel: bool | None = None,
    output: str | int | None = None,
    pool: Pool | None = None,
    batch: int | None = None,
    min_s: float | None = None,
    window_s: float | None = None,
    overlap_s: float | None = None,
    tries: int = 3,
    pause_s: float = 1.0,
    cache: str | os.PathLike[str] | None = None,
    name: str | None = None,
    check: bool = True,
) -> Classifier:
    """Any function of waveforms as a `Classifier`: methods that only need its answers work on it.

    Parameters
    ----------
    function : callable
        ndarray ``(batch, time)``, float32 -> scores ``(batch, class)``, as an array or anything that NumPy makes one of.
    sample_rate : int, Hz
        The rate at which it listens.
    labels, outputs, multilabel, output, pool, min_s, window_s, overlap_s, check
        As in `wrap`.
    batch : int, optional
        Most sounds in one call; by default as many as otoscope's own batch size.
    tries : int
        Number of attempts at a call that fails, in all.
    pause_s : float, s
        Before the second try; doubled before each further one.
    cache : path, optional
        A folder in which answers are kept by the content of the sound and by ``name``; without, they are kept in memory as far as
        they fit.
    name : str, optional
        Name for messages and records; by default that of the function. With ``cache``, it must identify this function and its
        version.

    Returns
    -------
    Classifier

    Raises
    ------
    ParameterError
        If ``function`` cannot be called, or fails on every sound.

    Examples
    --------
    >>> def loud(waveforms):
    ...     level = np.sqrt((waveforms**2).mean(1))
    ...     return np.stack([1 - level, level], 1)
    >>> model = otoscope.wrap_function(loud, sample_rate=16000, labels=["quiet", "loud"], outputs="probabilities")
    >>> model.probabilities(model(torch.full((1, 16000), 0.25)))
    tensor([[0.7500, 0.2500]])
    """
    if not callable(function):
        raise ParameterError(f"wrap_function takes a function of waveforms; got {type(function).__name__}")
    if isinstance(tries, bool) or not isinstance(tries, int) or tries < 1:
        raise ParameterError(f"tries must be a whole number of at least 1; got {tries!r}")
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise ParameterError(f"batch must be a whole number of at least 1; got {batch!r}")
    if cache is not None and name is None:
        raise ParameterError(
            "cache= keeps answers from one run to the next, by the function's name: pass name= (with a version)"
        )
    title = name or str(getattr(function, "__name__", type(function).__name__))
    module = Answers(function, title, output=output, batch=batch, tries=tries, pause_s=pause_s, cache=cache)
    return wrap(
        module, sample_rate=sample_rate, labels=labels, outputs=outputs, multilabel=multilabel, pool=pool, min_s=min_s,
        window_s=window_s, overlap_s=overlap_s, name=title, check=check,
    )  # fmt: skip


class Answers(nn.Module):
    """A function of NumPy arrays as a module without parameters and gradients.

    Parameters
    ----------
    function : callable
        Sounds ``(batch, time)`` -> scores.
    name : str
        For messages.
    output, batch, tries, pause_s, cache
        As in `wrap_function`.
    identity : mapping, optional
        What identifies the function, for the digest in records; by default its name and module.
    """

    def __init__(
        self,
        function: Function,
        name: str,
        *,
        output: str | int | None = None,
        batch: int | None = None,
        tries: int = 1,
        pause_s: float = 0.0,
        cache: str | os.PathLike[str] | None = None,
        identity: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.function, self.name, self.output, self.batch = function, name, output, batch
        self.tries, self.pause_s = tries, pause_s
        known = {
            "name": name,
            "output": str(output),
            "function": f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', name)}",
        }
        self.identity = dict(known if identity is None else identity)
        self.kept: _Kept | _Folder = (
            _Kept(KEPT_BYTES) if cache is None else _Folder(make_folder(cache), str(self.identity))
        )

    def state_settings(self) -> dict[str, Any]:
        """What counts for the digest of a classifier."""
        return self.identity

    def forward(self, waveform: Tensor) -> Tensor:
        """Scores as the function gives them, ``(batch, ...)``; sounds that were scored before are not sent again."""
        sounds = waveform.detach().cpu().float().numpy()
        keys = [hashlib.sha256(sound.tobytes()).hexdigest() for sound in sounds]
        found = {key: row for key in keys if (row := self.kept.get(key)) is not None}
        missing = [i for i, key in enumerate(keys) if key not in found and keys.index(key) == i]
        size = self.batch or max(1, len(missing))
        for some in (missing[i : i + size] for i in range(0, len(missing), size)):
            for i, row in zip(some, self._ask(np.ascontiguousarray(sounds[some])), strict=True):
                found[keys[i]] = row
                self.kept.put(keys[i], row)
        return torch.from_numpy(np.stack([found[key] for key in keys])).to(waveform.device)

    @contextlib.contextmanager
    def impatient(self) -> Iterator[None]:
        """While the block runs, the pauses before another try are short."""
        pause, self.pause_s = self.pause_s, min(self.pause_s, 0.05)
        try:
            yield
        finally:
            self.pause_s = pause

    @contextlib.contextmanager
    def forgetful(self) -> Iterator[None]:
        """While the block runs, every sound is sent to the function, even one that was scored before."""
        kept, self.kept = self.kept, _Kept(0)
        try:
            yield
        finally:
            self.kept = kept

    def _ask(self, sounds: np.ndarray) -> np.ndarray:
        """One call, tried again after a pause if it fails."""
        for left in reversed(range(self.tries)):
            try:
                answer = self.function(sounds.copy())
                break
            except (OtoscopeError, MemoryError):
                raise
            except Exception as error:
                if out_of_memory(error):
                    raise
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                if not left:
                    often = "" if self.tries == 1 else f" {self.tries} times"
                    raise ClassifierError(
                        f"the function {self.name!r} failed{often} on {len(sounds)} sounds of {sounds.shape[1]} samples "
                        f"({reason}); earlier answers are kept"
                    ) from error
                pause = self.pause_s * 2 ** (self.tries - 1 - left)
                log.warning("%s failed (%s); trying again in %g s", self.name, reason, pause)
                time.sleep(pause)
        return self._checked(answer, len(sounds))

    def _checked(self, answer: Any, n: int) -> np.ndarray:
        rows = isinstance(answer, list | tuple) and self.output is None and all(np.ndim(row) < 2 for row in answer)
        entry = answer if rows else entry_of(answer, self.output, self.name)
        entry = entry.detach().cpu().numpy() if isinstance(entry, Tensor) else entry
        try:
            scores = np.asarray(entry, np.float32)
        except (TypeError, ValueError) as error:
            raise ShapeError(
                f"the function {self.name!r} returned {type(entry).__name__}, not scores (batch, class)"
            ) from error
        if scores.ndim == 1 and n == 1 and len(scores) > 1:
            scores = scores[None]
        if scores.ndim == 0 or len(scores) != n:
            raise ShapeError(
                f"the function {self.name!r} returned shape {scores.shape} for {n} sounds; expected ({n}, class)"
            )
        return scores


class _Kept:
    """Answers in memory; the oldest are forgotten when there are too many."""

    def __init__(self, most: int):
        self.most, self.size = most, 0
        self.rows: OrderedDict[str, np.ndarray] = OrderedDict()

    def get(self, key: str) -> np.ndarray | None:
        if key in self.rows:
            self.rows.move_to_end(key)
        return self.rows.get(key)

    def put(self, key: str, row: np.ndarray) -> None:
        self.rows[key] = row
        self.size += row.nbytes
        while self.size > self.most and self.rows:
            self.size -= self.rows.popitem(last=False)[1].nbytes


class _Folder:
    """Answers on disk, one file each; a damaged one is computed again."""

    def __init__(self, folder: Path, identity: str):
        self.folder = folder / hashlib.sha256(identity.encode()).hexdigest()[:16]

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.npy"

    def get(self, key: str) -> np.ndarray | None:
        try:
            return np.load(self._file(key), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None

    def put(self, key: str, row: np.ndarray) -> None:
        with atomic_write(self._file(key)) as part, part.open("wb") as out:
            np.save(out, row, allow_pickle=False)
