"""Networks that take a sound in chunks and keep a state from one to the next, such as voice activity detectors."""

from __future__ import annotations

import contextlib
import inspect
import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from otoscope.classifiers.outputs import Pool
from otoscope.classifiers.probe import probe_sounds, quietly
from otoscope.core.errors import ParameterError

log = logging.getLogger("otoscope")
CHUNKS = (512, 256, 1024, 160, 320, 480, 1280, 1536, 2048)  # tried in turn if the length of a chunk is not given
POOL_CHUNKS = (
    "choose how the scores of chunks become one score per class: pool='max' or pool='mean' (--option pool=max)"
)
RESETS = ("reset_states", "reset_state", "reset")
RATES = ("sr", "sample_rate", "sampling_rate", "samplerate", "fs")


class Streaming(nn.Module):
    """A network of chunks as a network of whole sounds: its state is cleared before each sound, and its scores are of frames.

    Parameters
    ----------
    network : nn.Module
        Chunk ``(batch, context + chunk)`` -> scores ``(batch, class)``. The first of its methods ``reset_states``,
        ``reset_state`` and ``reset`` clears its state; a second required argument named ``sr`` or ``sample_rate`` gets the rate.
    sample_rate : int, Hz
        At which it listens.
    chunk : int, samples, optional
        Length of a chunk; the last one is padded with silence. None gives it whole sounds.
    context : int, samples
        How much of the sound before a chunk it gets as well; silence before the first.

    Examples
    --------
    >>> network = Streaming(torch.nn.Linear(4 + 2, 3), 16000, chunk=4, context=2)
    >>> network(torch.zeros(1, 10)).shape
    torch.Size([1, 3, 3])
    """

    def __init__(self, network: nn.Module, sample_rate: int, chunk: int | None = None, context: int = 0):
        super().__init__()
        self.network, (self.chunk, self.context) = network, check_chunks(chunk, context)
        self.rate = (sample_rate,) if takes_rate(network) else ()

    def state_settings(self) -> dict[str, Any]:
        """What counts for the digest of a classifier."""
        return {"chunk": self.chunk, "context": self.context}

    def forward(self, waveform: Tensor) -> Any:
        """What the network returns for a sound ``(batch, time)``; for chunks, with a frame axis after the batch."""
        reset = reset_of(self.network)
        if reset is not None:
            reset()
        if self.chunk is None:
            return self.network(waveform, *self.rate)
        parts = chunks(waveform, self.chunk, self.context)
        answers = [self.network(part, *self.rate) for part in parts.unbind(1)]
        return tree_map(lambda *frames: torch.stack([_row(x, len(waveform)) for x in frames], 1), *answers)


def check_chunks(chunk: int | None, context: int) -> tuple[int | None, int]:
    """Lengths of a chunk and its context, or a `ParameterError` if they are not whole numbers of samples."""
    for name, value, least in (("chunk", 1 if chunk is None else chunk, 1), ("context", context, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ParameterError(f"{name} must be a whole number of samples of at least {least}; got {value!r}")
    if context and chunk is None:
        raise ParameterError("context is what comes before a chunk; pass chunk, its length in samples, as well")
    return chunk, context


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


def _row(scores: Any, batch: int) -> Any:
    """Scores of one frame as ``(batch, class)``."""
    return scores.reshape(batch, 1) if isinstance(scores, Tensor) and scores.ndim < 2 else scores


def fit_streaming(
    module: nn.Module, sample_rate: int, chunk: int | None, context: int, pool: Pool | None, name: str
) -> nn.Module:
    """The module, as a network of whole sounds if it is one of chunks, keeps a state, or takes the rate as an argument.

    Parameters
    ----------
    module : nn.Module
        As the user gave it.
    sample_rate : int, Hz
        At which it listens.
    chunk : int, samples, optional
        What it takes at a time. By default, a module that keeps a state and does not take a whole second is tried with common
        lengths.
    context : int, samples
        See `Streaming`.
    pool : {"max", "mean"}, optional
        Of the chunks' scores; needed if there are chunks.
    name : str
        For messages.

    Raises
    ------
    ParameterError
        If a setting is out of range or missing.
    """
    if chunk is not None or context:
        made = Streaming(module, sample_rate, chunk, context)
        if pool is None:
            raise ParameterError(f"{name} scores chunks of {chunk} samples; {POOL_CHUNKS}")
        return made
    stateful = reset_of(module) is not None
    if not stateful and not takes_rate(module):
        return module
    whole = Streaming(module, sample_rate)
    if not stateful or _takes(whole, sample_rate, sample_rate):
        return whole
    found = next((n for n in CHUNKS if _takes(Streaming(module, sample_rate, n), 2 * n, sample_rate)), None)
    if found is None:
        return whole
    if pool is None:
        raise ParameterError(f"{name} keeps a state and takes {found} samples at a time; {POOL_CHUNKS}")
    log.warning("%s keeps a state and takes %d samples at a time; pass chunk= if this is wrong", name, found)
    return Streaming(module, sample_rate, found)


def _takes(network: Streaming, frames: int, sample_rate: int) -> bool:
    """Whether it takes a sound of this length."""
    with contextlib.suppress(Exception), quietly(network):
        network(probe_sounds(frames, sample_rate)[1:2])
        return True
    return False


def reset_of(module: nn.Module) -> Any:
    """The method that clears a module's state, if it has one that can be called without arguments."""
    return next((found for name in RESETS if callable(found := getattr(module, name, None))), None)


def takes_rate(module: nn.Module) -> bool:
    """Whether the second required argument of a module is a sample rate."""
    if isinstance(module, torch.jit.ScriptModule):
        arguments = module._c._get_method("forward").schema.arguments[1:]
        needed = [one.name for one in arguments if not one.has_default_value()]
    else:
        try:
            parameters = inspect.signature(module.forward).parameters.values()
        except (TypeError, ValueError):
            return False
        needed = [one.name for one in parameters if one.default is one.empty and one.kind == one.POSITIONAL_OR_KEYWORD]
    return len(needed) == 2 and needed[1].casefold() in RATES
