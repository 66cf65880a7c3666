"""Networks that take a sound in chunks and keep a state from one to the next, such as voice activity detectors."""

from __future__ import annotations

import contextlib
import inspect
import logging
import operator
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.classifiers.outputs import Pool, entry_of
from otoscope.classifiers.probe import probe_sounds, quietly
from otoscope.core.errors import ParameterError

log = logging.getLogger("otoscope")
CHUNKS = (512, 256, 1024, 160, 320, 480, 1280, 1536, 2048)  # tried in turn, if the length of a chunk is not given
LONGEST = 10_000_000  # samples of a chunk
POOL_CHUNKS = (
    "choose how the scores of chunks become one score per class: pool='max' or pool='mean' (--option pool=max)"
)
RESETS = ("reset_states", "reset_state")
RATES = ("sr", "sample_rate", "sampling_rate", "samplerate", "fs")


class Streaming(nn.Module):
    """A network of chunks as a network of whole sounds: its state is cleared before each sound, and its scores are of frames.

    Parameters
    ----------
    network : nn.Module
        Chunk ``(batch, context + chunk)`` -> scores ``(batch, class)``. Its method ``reset_states`` or ``reset_state`` clears its
        state, and with ``chunk`` also ``reset``; a parameter named ``sr`` or ``sample_rate`` gets the rate.
    sample_rate : int, Hz
        At which it listens.
    chunk : int, samples, optional
        Length of a chunk; the last one is padded with silence. None gives it whole sounds.
    context : int, samples
        How much of the sound before a chunk it gets as well; silence before the first.
    output : str or int, optional
        Which entry of what a chunk returns holds the scores, as in `otoscope.wrap`.

    Examples
    --------
    >>> network = Streaming(torch.nn.Linear(4 + 2, 3), 16000, chunk=4, context=2)
    >>> network(torch.zeros(1, 10)).shape
    torch.Size([1, 3, 3])
    """

    def __init__(
        self,
        network: nn.Module,
        sample_rate: int,
        chunk: int | None = None,
        context: int = 0,
        output: str | int | None = None,
    ):
        super().__init__()
        self.network, (self.chunk, self.context), self.output = network, check_chunks(chunk, context), output
        self.reset = reset_of(network, RESETS if self.chunk is None else (*RESETS, "reset"))
        name, as_tensor = rate_parameter(network)
        self.rate = {} if name is None else {name: torch.tensor(sample_rate) if as_tensor else sample_rate}

    def state_settings(self) -> dict[str, Any]:
        """What counts for the digest of a classifier."""
        inner: dict[str, Any] = getattr(self.network, "state_settings", dict)()
        return {**inner, "chunk": self.chunk, "context": self.context, "output": str(self.output)}

    def forgetful(self) -> contextlib.AbstractContextManager[Any]:
        """That of a function inside, which keeps answers."""
        return getattr(self.network, "forgetful", contextlib.nullcontext)()

    def impatient(self) -> contextlib.AbstractContextManager[Any]:
        """That of a function inside, which pauses before another try."""
        return getattr(self.network, "impatient", contextlib.nullcontext)()

    def forward(self, waveform: Tensor) -> Any:
        """What the network returns for a sound ``(batch, time)``; of chunks, scores ``(batch, frame, class)``."""
        if self.reset is not None:
            getattr(self.network, self.reset)()
        if self.chunk is None:
            return self.network(waveform, **self.rate)
        parts = chunks(waveform, self.chunk, self.context).unbind(1)
        name = type(self.network).__name__
        found = [entry_of(self.network(part, **self.rate), self.output, name) for part in parts]
        return torch.cat([frames_of(scores, len(waveform)) for scores in found], 1)


def check_chunks(chunk: Any, context: Any) -> tuple[int | None, int]:
    """Lengths of a chunk and its context, or a `ParameterError` if they are not whole numbers of samples."""
    found = []
    for name, value, least in (("context", context, 0), ("chunk", 1 if chunk is None else chunk, 1)):
        try:
            number = operator.index(value)
        except TypeError:
            number = -1
        if isinstance(value, bool) or not least <= number <= LONGEST:
            raise ParameterError(
                f"{name} must be a whole number of samples of at least {least}, up to {LONGEST:,}; got {value!r}"
            )
        found.append(number)
    if found[0] and chunk is None:
        raise ParameterError("context is what comes before a chunk; pass chunk, its length in samples, as well")
    return (None if chunk is None else found[1]), found[0]


def chunks(waveform: Tensor, chunk: int, context: int) -> Tensor:
    """Chunks ``(batch, frame, context + chunk)`` of waveforms ``(batch, time)``, each with what comes before it.

    Parameters
    ----------
    waveform : Tensor (batch, time)
        Padded with silence to a whole number of chunks.
    chunk, context : int, samples
        Length of a chunk, and of what comes before it.

    Examples
    --------
    >>> chunks(torch.arange(1.0, 6.0)[None], 2, 1)
    tensor([[[0., 1., 2.],
             [2., 3., 4.],
             [4., 5., 0.]]])
    """
    padded = nn.functional.pad(waveform, (context, -waveform.shape[-1] % chunk))
    return padded.unfold(-1, context + chunk, chunk)


def frames_of(scores: Tensor, batch: int) -> Tensor:
    """Scores of one chunk, ``(batch, class)``, ``(batch, frame, class)`` or one per sound, as ``(batch, frame, class)``."""
    if scores.ndim < 2:
        scores = scores.reshape(batch, -1) if scores.numel() % batch == 0 else scores[None]
    return scores[:, None] if scores.ndim == 2 else scores


def fit_streaming(
    module: nn.Module,
    sample_rate: int,
    streaming: tuple[int | None, int, str | int | None],
    pool: Pool | None,
    name: str,
    known_s: float | None = None,
    check: bool = True,
) -> nn.Module:
    """The module, as a network of whole sounds if it is one of chunks, keeps a state, or takes the rate as well.

    Parameters
    ----------
    module : nn.Module
        As the user gave it.
    sample_rate : int, Hz
        At which it listens.
    streaming : (chunk, context, output)
        See `Streaming`. Without ``chunk``, a module that keeps a state and takes no whole second is tried with common lengths.
    pool : {"max", "mean"}, optional
        Of the chunks' scores; needed if there are chunks.
    name : str
        For messages.
    known_s : float, s, optional
        A length of sound that it takes.
    check : bool
        Whether it may be tried.

    Raises
    ------
    ParameterError
        If a setting is out of range or missing.
    """
    chunk, context, output = streaming
    if chunk is not None or context:
        made = Streaming(module, sample_rate, chunk, context, output)
        if pool is None:
            raise ParameterError(f"{name} scores chunks of {chunk} samples; {POOL_CHUNKS}")
        return made
    stateful = reset_of(module) is not None
    if not stateful and rate_parameter(module)[0] is None:
        return module
    whole = Streaming(module, sample_rate)
    known = round((1.0 if known_s is None else known_s) * sample_rate)
    if not (stateful and check) or _takes(whole, known, sample_rate):
        return whole
    found = next((n for n in CHUNKS if _takes(Streaming(module, sample_rate, n, 0, output), 2 * n, sample_rate)), None)
    if found is None:
        return whole
    if pool is None:
        raise ParameterError(f"{name} keeps a state and takes {found} samples at a time; {POOL_CHUNKS}")
    log.warning("%s keeps a state and takes %d samples at a time; pass chunk= if this is wrong", name, found)
    return Streaming(module, sample_rate, found, 0, output)


def _takes(network: Streaming, frames: int, sample_rate: int) -> bool:
    """Whether it takes a sound of this length."""
    with contextlib.suppress(Exception), quietly(network):
        network(probe_sounds(frames, sample_rate)[1:2])
        return True
    return False


def reset_of(module: nn.Module, names: tuple[str, ...] = RESETS) -> str | None:
    """The name of the method that clears a module's state, if it has one that can be called without arguments."""
    for name in names:
        if isinstance(module, torch.jit.ScriptModule):
            if module._c._has_method(name) and len(module._c._get_method(name).schema.arguments) == 1:
                return name
        elif inspect.isfunction(getattr(type(module), name, None)):
            parameters = inspect.signature(getattr(module, name)).parameters.values()
            needed = [p for p in parameters if p.default is p.empty]
            if all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in needed):
                return name
    return None


def rate_parameter(module: nn.Module) -> tuple[str | None, bool]:
    """The name of the parameter, besides the sound, by which a module is given the sample rate, and whether it is a tensor."""
    if isinstance(module, torch.jit.ScriptModule):
        if not module._c._has_method("forward"):
            return None, False
        arguments = module._c._get_method("forward").schema.arguments[2:]
        return next(((a.name, str(a.type) == "Tensor") for a in arguments if a.name.casefold() in RATES), (None, False))
    try:
        parameters = list(inspect.signature(getattr(module, "_orig_mod", module).forward).parameters.values())
    except (TypeError, ValueError):
        return None, False
    named = [p.name for p in parameters[1:] if p.name.casefold() in RATES and p.kind is not p.POSITIONAL_ONLY]
    return (named[0] if named else None), False
