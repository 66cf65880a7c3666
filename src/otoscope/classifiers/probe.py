"""What a module does, determined by giving it sounds: the lengths it takes, what its numbers are, whether its answers are steady.

A module does not state these facts, and a wrong guess fails silently: a softmax of probabilities, a sound of which half is
never heard, an answer that depends on the other clips of a batch. Probes are short synthetic sounds and leave the module as it
was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.classifiers.inspected import ClassifierError, out_of_memory
from otoscope.classifiers.outputs import Kind
from otoscope.core.errors import OtoscopeError
from otoscope.surgery import preserve_state

LENGTHS_S = (1.0, 2.0, 0.5, 3.0, 5.0, 4.0, 10.0, 0.96, 30.0)  # tried in turn; 0.96 s is what VGGish takes
LONG_S = 30.0  # the longest stretch that Otoscope gives to a network at once
SHORT_S = 0.1
SUM = 1e-2  # of probabilities, around 1; a softmax in 16 bits is off by some thousandths
UNSTEADY = 1e-3  # a change of a probability that is more than rounding
UNSTEADY_HALF = 2e-2  # the same where the network computes in 16 bits
PASSIVE = ("View", "Reshape", "Squeeze", "Unsqueeze", "Alias", "Slice", "Select", "Transpose", "Permute", "T", "Clone", "ToCopy",
           "Clamp", "Max", "Amax", "Mean", "Expand", "Cat", "Stack", "Index")  # fmt: skip

Run = Callable[[Tensor], Any]


def probe_sounds(frames: int, sample_rate: int) -> Tensor:
    """Synthetic sounds that differ in level, pitch and place, ``(8, time)``; the last one is digital silence."""
    t = np.arange(frames) / sample_rate
    noise = np.random.default_rng(0).standard_normal((3, frames)) * np.array([[0.02], [0.15], [0.3]])
    tones = [0.4 * np.sin(2 * np.pi * share * sample_rate * t) for share in (0.01, 0.08, 0.3)]
    click = np.zeros(frames)
    click[frames // 3 : frames // 3 + max(1, sample_rate // 1000)] = 0.9
    return torch.from_numpy(np.stack([*noise, *tones, click, np.zeros(frames)]).clip(-1, 1).astype(np.float32))


@contextlib.contextmanager
def quietly(module: nn.Module) -> Iterator[None]:
    """Passes inside the block leave the module, and torch's generators, as they were; nothing is differentiated."""
    devices = range(torch.cuda.device_count()) if any(p.is_cuda for p in module.parameters()) else []
    with torch.inference_mode(False), torch.random.fork_rng(devices=devices), preserve_state(module), torch.no_grad():
        yield


@dataclass(frozen=True)
class Lengths:
    """Lengths of waveform that a module takes, in samples.

    Parameters
    ----------
    works : int
        One that it takes.
    shortest : int
        Shorter ones fail; 1 if a tenth of a second does not.
    longest : int, optional
        Longer ones fail; None if 30 s do not.
    """

    works: int
    shortest: int
    longest: int | None


def find_lengths(run: Run, sample_rate: int, hints: Sequence[int] = (), first: int | None = None) -> Lengths:
    """Lengths that a module takes, by trying.

    Parameters
    ----------
    run : callable
        Takes waveforms ``(1, time)``; an error means that it does not take this length.
    sample_rate : int, Hz
        Of the waveforms.
    hints : sequence of int, samples
        Lengths that are tried right after the first.
    first : int, samples, optional
        The length that is tried first; by default one second.

    Raises
    ------
    Exception
        The module's own error at one second, if it takes none of the lengths.
    """
    second, *others = [round(seconds * sample_rate) for seconds in LENGTHS_S]
    first = second if first is None else first
    errors: list[Exception] = []

    def takes(frames: int) -> bool:
        try:
            run(probe_sounds(frames, sample_rate)[1:2])
        except Exception as error:
            if out_of_memory(error) or (isinstance(error, OtoscopeError) and not isinstance(error, ClassifierError)):
                raise
            errors.append(error)
            return False
        return True

    works = next((n for n in dict.fromkeys([first, *hints, *others]) if takes(n)), None)
    if works is None:
        raise errors[0]
    short, long = min(works, round(SHORT_S * sample_rate)), max(works, round(LONG_S * sample_rate))
    shortest = 1 if takes(short) else _edge(takes, short, works)
    longest = None if takes(long) else works if not takes(works + 1) else -_edge(lambda n: takes(-n), -long, -works)
    return Lengths(works, shortest, longest)


def _edge(takes: Callable[[int], bool], fails: int, works: int, within: int = 1) -> int:
    """A number from which on it works, less than ``within`` above the smallest, between one that fails and one that works."""
    while works - fails > within:
        middle = (works + fails) // 2
        fails, works = (fails, middle) if takes(middle) else (middle, works)
    return works


@dataclass(frozen=True)
class Numbers:
    """What the numbers of a module are.

    Parameters
    ----------
    outputs : {"logits", "probabilities", "log_probabilities"}
        Their kind.
    multilabel : bool
        Whether they are of independent classes.
    reason : str
        How this was determined, for a note; empty for plain logits.
    """

    outputs: Kind
    multilabel: bool
    reason: str = ""


def kind_of(scores: Tensor, last: str) -> Numbers:
    """What scores are, from their values on several sounds and the last operation that made them.

    Parameters
    ----------
    scores : Tensor (sound, class)
        As the module gave them.
    last : str
        Name of the last operation that does more than reshape, as `last_operation` gives it, or empty if unknown.
    """
    values = scores.double()
    finite = values[torch.isfinite(values).all(-1)]
    classes = scores.shape[-1]
    if not len(finite):
        return Numbers("logits", False)
    inside = bool((finite >= 0).all() and (finite <= 1).all())
    sums = bool(((finite.sum(-1) - 1).abs() < SUM).all()) and classes > 1
    log_sums = bool((finite <= 0).all() and ((finite.exp().sum(-1) - 1).abs() < SUM).all()) and classes > 1
    if inside and sums and last not in RAW:
        return Numbers("probabilities", False, "its outputs lie between 0 and 1 and sum to 1")
    if log_sums:
        return Numbers("log_probabilities", False, "the exponentials of its outputs sum to 1")
    if inside and last not in RAW and len(finite.unique()) > 1:
        return Numbers("probabilities", classes > 1, "its outputs lie between 0 and 1")
    return Numbers("logits", False)


RAW = ("Addmm", "Mm", "Convolution", "Bmm", "Baddbmm", "Mv", "Dot", "Relu", "LeakyRelu", "Elu", "Gelu", "Silu", "Hardswish",
       "Hardtanh", "Softplus", "NativeBatchNorm", "NativeLayerNorm", "Log")  # fmt: skip


def last_operation(output: Tensor) -> str:
    """The last operation behind a tensor that does more than reshape, pool or clip, such as ``Sigmoid``; empty if unknown."""
    node = output.grad_fn
    for _ in range(32):
        if node is None:
            return ""
        name = type(node).__name__.partition("Backward")[0].lstrip("_").removeprefix("Unsafe")
        if name not in PASSIVE:
            return name
        node = next((n for n, _ in node.next_functions if n is not None), None)
    return ""


@dataclass(frozen=True)
class Steadiness:
    """How much the probabilities of one sound change though the sound does not.

    Parameters
    ----------
    repeated : float
        Largest change when the same sound is given again.
    batched : float
        Largest change when it is given together with other sounds.
    """

    repeated: float
    batched: float


def steadiness(probabilities: Callable[[Tensor], Tensor], sounds: Tensor) -> Steadiness:
    """Give sounds alone, again, and in a batch; `Steadiness` holds the largest changes of a probability."""
    alone = torch.cat([probabilities(sound[None]) for sound in sounds])
    again = torch.cat([probabilities(sound[None]) for sound in sounds])
    together = probabilities(sounds)
    repeated = float((alone - again).abs().max())
    return Steadiness(repeated, max(0.0, float((alone - together).abs().max()) - repeated))


def heard_stretch(logits: Callable[[Tensor], Tensor], frames: int, sample_rate: int) -> tuple[int, int]:
    """First and last sample of a sound that move a module's answer.

    Parameters
    ----------
    logits : callable
        Waveforms ``(1, time)`` -> logits; the same sound must give the same ones.
    frames : int, samples
        Length of the sound that is given.
    sample_rate : int, Hz
        Of the sound.

    Returns
    -------
    (int, int), samples
        ``(0, frames)`` unless more than a tenth is never heard, to 10 ms; ``(0, 0)`` if nothing is.
    """
    sounds = probe_sounds(frames, sample_rate)
    sound = sounds[1:2]
    others = (sounds[-1:], sounds[2:3].roll(frames // 2, -1), sounds[4:5])  # silence, other and louder noise, a tone
    reference = logits(sound)
    scale = float(reference.abs().max()) or 1.0

    def moves(start: int, stop: int, sound: Tensor = sound, reference: Tensor = reference) -> bool:
        for other in others:
            changed = sound.clone()
            changed[:, start:stop] = other[:, start:stop]
            try:
                found = logits(changed)
            except Exception as error:
                if out_of_memory(error):
                    raise
                return True  # a module that fails on silence does hear it
            if bool((found - reference).abs().max() > 1e-6 * scale):
                return True
        return False

    def moves_turned(start: int, stop: int, by: int) -> bool:
        """The same where what is heard has been moved there: the largest of all frames may just lie elsewhere."""
        turned = sound.roll(by, -1)
        return moves(start, stop, turned, logits(turned))

    if not moves(0, frames):
        return 0, 0
    tenth, near = frames // 10, max(1, sample_rate // 100)
    start, stop = 0, frames
    if not moves(frames - tenth, frames):  # the least start from which on silence changes nothing
        stop = _edge(lambda n: not moves(n, frames), 0, frames - tenth, near)
        stop = frames if moves_turned(stop, frames, -stop) else stop
    if not moves(0, tenth):
        start = -_edge(lambda n: not moves(0, -n), -stop, -tenth, near)
        start = 0 if moves_turned(0, start, -start) else start
    return start, stop
