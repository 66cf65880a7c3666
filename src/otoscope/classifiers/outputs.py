"""What a module returns, as logits ``(batch, class)``.

Modules return tensors, tuples, dictionaries or `ModelOutput`; logits, probabilities or their logarithms; one number for a yes-no
question; scores frame by frame. A `Readout` specifies which of these it is and turns it into logits, so that no softmax or
sigmoid is applied twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from otoscope.core.errors import ParameterError, ShapeError

Kind = Literal["logits", "probabilities", "log_probabilities"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Pool = Literal["max", "mean"]
POOLS: tuple[Pool, ...] = get_args(Pool)
KEYS = ("logits", "clipwise_output", "clipwise_logits", "scores", "probabilities", "probs", "output", "outputs", "y")
CLAMP = 1e-7  # probabilities of 0 and 1 have no finite logit in float32


@dataclass(frozen=True)
class Readout:
    """How the return value of a module becomes logits.

    Parameters
    ----------
    outputs : {"logits", "probabilities", "log_probabilities"}
        What the module's numbers are.
    key : str or int, optional
        Which entry of a dictionary, tuple or list holds them; None takes a tensor as it is, else the first of the usual names.
    pool : {"max", "mean"}, optional
        How scores of frames ``(batch, frame, class)`` become one score per class.
    multilabel : bool
        Whether classes are independent (sigmoid) rather than exclusive (softmax).
    binary : bool
        The module gives one number, the score of the second of two exclusive classes.

    Examples
    --------
    >>> Readout(binary=True)(torch.tensor([[2.0]]), 1, 2)
    tensor([[-1.,  1.]])
    >>> Readout("probabilities")(torch.tensor([[0.25, 0.75]]), 1, 2).softmax(-1)
    tensor([[0.2500, 0.7500]])
    """

    outputs: Kind = "logits"
    key: str | int | None = None
    pool: Pool | None = None
    multilabel: bool = False
    binary: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (("outputs", self.outputs, KINDS), ("pool", self.pool, (*POOLS, None))):
            if value not in known:
                choices = ", ".join(repr(k) for k in known if k is not None)
                raise ParameterError(f"{name} must be one of {choices}; got {value!r}")
        if isinstance(self.key, bool) or not isinstance(self.key, str | int | None):
            raise ParameterError(f"output must be the name or the number of an entry; got {self.key!r}")

    def __call__(self, output: Any, batch: int, classes: int, name: str = "the module") -> Tensor:
        """Logits ``(batch, class)`` in float32.

        Parameters
        ----------
        output : any
            What the module returned.
        batch : int
            How many waveforms it was given.
        classes : int
            How many classes there are labels for.
        name : str
            The classifier's, for messages.

        Raises
        ------
        ShapeError
            If the numbers are not there or have another shape.
        """
        frames = self._frames(output, batch, classes, name)
        return self._expanded(frames[:, 0] if frames.shape[1] == 1 else self._pooled(frames, name))

    def frames(self, output: Any, batch: int, classes: int, name: str = "the module") -> Tensor:
        """Logits ``(batch, frame, class)`` in float32; of a module that scores clips, one frame. See `__call__`."""
        return self._expanded(self._frames(output, batch, classes, name))

    def _expanded(self, logits: Tensor) -> Tensor:
        """One score as two classes."""
        return torch.cat([-logits / 2, logits / 2], -1) if self.binary else logits

    def _frames(self, output: Any, batch: int, classes: int, name: str) -> Tensor:
        """Logits ``(batch, frame, class)`` of what the module scores: with ``binary``, one class."""
        scores = self.scores(output, name)
        wanted = 1 if self.binary else classes
        if wanted == 1 and scores.shape in ((batch,), () if batch == 1 else (batch,)):
            scores = scores.reshape(batch, 1)
        if scores.ndim > 3:
            scores = _without_ones(scores, wanted)
        if scores.ndim == 2:
            scores = scores[:, None]
        if scores.ndim != 3 or scores.shape[0] != batch or scores.shape[2] != wanted:
            raise ShapeError(_wrong_shape(name, tuple(self.scores(output, name).shape), batch, wanted))
        return self._logits(scores if scores.dtype == torch.float64 else scores.float()).float()

    def scores(self, output: Any, name: str = "the module") -> Tensor:
        """The tensor of scores inside a return value, as the module gave it."""
        found = entry_of(output, self.key, name)
        if not isinstance(found, Tensor):
            raise ShapeError(
                f"classifier {name!r} returned {type(found).__name__}, not a tensor of scores (batch, class); name the entry "
                "that holds them (output=), or wrap it in a module that returns them alone"
            )
        return found

    def _logits(self, scores: Tensor) -> Tensor:
        """Logits whose sigmoid or softmax gives the module's own probabilities."""
        independent = self.multilabel or self.binary
        logits = scores
        if self.outputs == "probabilities":
            p = scores.clamp(CLAMP, 1 - CLAMP) if independent else scores.clamp(min=CLAMP)
            logits = torch.logit(p) if independent else p.log()
        elif self.outputs == "log_probabilities" and independent:
            log_p = scores.clamp(max=-CLAMP)
            logits = log_p - torch.log(-torch.expm1(log_p))
        return logits

    def _pooled(self, frames: Tensor, name: str) -> Tensor:
        if self.pool is None:
            raise ShapeError(
                f"classifier {name!r} returned scores of {frames.shape[1]} frames, (batch, frame, class); choose how they become "
                "one score per class: pool='max' or pool='mean'"
            )
        if self.pool == "max":
            return frames.amax(1)
        if self.outputs == "logits":
            return frames.mean(1)
        independent = self.multilabel or self.binary
        p = frames.sigmoid() if independent else frames.softmax(-1)  # the mean of what the module gives
        return Readout("probabilities", multilabel=independent)._logits(p.mean(1))


def output_name(names: Sequence[str], output: str | int | None, where: Any) -> str:
    """The output of a model file that holds the scores, by name or number; by default the first.

    Raises
    ------
    ShapeError
        If there is none with that name or number.
    """
    if output is None:
        return names[0]
    if isinstance(output, int) and not isinstance(output, bool) and -len(names) <= output < len(names):
        return names[output]
    if output in names:
        return str(output)
    raise ShapeError(f"{where} has no output {output!r}; it has {', '.join(names)}, numbered from 0")


def entry_of(output: Any, key: str | int | None, name: str) -> Any:
    """One entry of a return value."""
    if isinstance(output, Mapping):
        return _of_mapping(output, key, name)
    if isinstance(output, list | tuple):
        return _of_sequence(output, key, name)
    if key is None:
        return output
    raise ShapeError(
        f"classifier {name!r} returned {type(output).__name__}, which has no entries; leave out output={key!r}"
    )


def _of_mapping(output: Mapping[Any, Any], key: str | int | None, name: str) -> Any:
    names = [str(k) for k in output]
    if key is not None:
        if key not in output:
            raise ShapeError(f"classifier {name!r} returns no entry {key!r}; it has {', '.join(names)} (output=)")
        return output[key]
    known = [k for k in KEYS if k in output]
    tensors = [k for k, v in output.items() if isinstance(v, Tensor)]
    if not known and len(tensors) != 1:
        raise ShapeError(
            f"classifier {name!r} returned a dictionary with {', '.join(names) or 'nothing'}; name the entry that holds the "
            "scores: output="
        )
    return output[known[0] if known else tensors[0]]


def _of_sequence(output: Any, key: str | int | None, name: str) -> Any:
    if key is not None and (not isinstance(key, int) or not -len(output) <= key < len(output)):
        raise ShapeError(
            f"classifier {name!r} returned {len(output)} values, numbered from 0; there is no output={key!r}"
        )
    if key is None and not output:
        raise ShapeError(f"classifier {name!r} returned an empty {type(output).__name__}")
    return output[0 if key is None else key]


def _without_ones(scores: Tensor, wanted: int) -> Tensor:
    """``(batch, class, 1, 1)`` or ``(batch, 1, 1, class)`` as ``(batch, class)``; anything else as it is."""
    sizes = [n for n in scores.shape[1:] if n != 1]
    return scores.reshape(len(scores), wanted) if sizes in ([wanted], [] if wanted == 1 else [wanted]) else scores


def _wrong_shape(name: str, shape: tuple[int, ...], batch: int, wanted: int) -> str:
    labels = "one score" if wanted == 1 else f"{wanted} labels"
    said = f"classifier {name!r} returned scores of shape {shape} for {batch} waveforms and {labels}; expected "
    hint = ""
    if len(shape) == 3 and shape[1] == wanted != shape[2]:
        hint = "; (batch, class, frame) must be transposed"
    elif shape[-1:] != (wanted,):
        hint = f"; give {shape[-1]} labels" if len(shape) == 2 else ""
    return f"{said}({batch}, {wanted}) or ({batch}, frame, {wanted}){hint}"
