"""What one layer of any classifier makes of clips, in one forward pass each; and their sounds, whole or cut to a box."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import downmix, load_audio, resample
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.layer_cells import LayerCells
from otoscope.classifiers.layer_maps import record_maps
from otoscope.classifiers.prototype_space import most_probable
from otoscope.core.errors import AudioReadError, ParameterError, UnsupportedError
from otoscope.core.records import Clip, Grid
from otoscope.datasets import Dataset, Example, waveform
from otoscope.domains.render import render_clips
from otoscope.domains.stft import config_at
from otoscope.spectral.scales import bin_frequencies
from otoscope.surgery import preserve_state

BATCH, WAITING = 16, 256
LONG_S = 30.0  # of a sound, at most so much is given to a classifier without a limit of its own
CELL_S = 0.005  # steps of a box in time: its edges fade over one


@dataclass(frozen=True)
class Box:
    """A part of a clip.

    Parameters
    ----------
    start_s, stop_s : float, s
        From and to.
    low_hz, high_hz : float, Hz
        Band; 0 and half the classifier's sample rate for all frequencies.

    Examples
    --------
    >>> Box(0.5, 1.0).duration
    0.5
    """

    start_s: float
    stop_s: float
    low_hz: float = 0.0
    high_hz: float = float("inf")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.stop_s - self.start_s


@dataclass(frozen=True, eq=False)
class LayerClip:
    """A clip as one layer of a classifier has it.

    Parameters
    ----------
    map : Tensor (channel, freq, frame)
        Output of the layer, on the CPU.
    probabilities : Tensor (class,)
        Of the classifier.
    cells : LayerCells
        Where the cells of the map lie.
    waveform : ndarray (time,)
        What the classifier was given.
    example : Example, optional
        The clip, if it is one of a data set.
    cut : bool
        Whether the clip is longer than what the classifier was given.
    among : tuple of int
        The classes between which the classifier is taken to decide; empty for all.

    Examples
    --------
    >>> clip = record_clips(model, data)[0]
    >>> clip.predicted == int(clip.probabilities.argmax())
    True
    """

    map: Tensor
    probabilities: Tensor
    cells: LayerCells
    waveform: np.ndarray
    example: Example | None = None
    cut: bool = False
    among: tuple[int, ...] = ()

    @property
    def predicted(self) -> int:
        """The class that the classifier finds most probable."""
        return most_probable(self.probabilities, self.among)[0]


def layer_of(classifier: Classifier, layer: str | None) -> str:
    """The given layer, else the classifier's default.

    Raises
    ------
    UnsupportedError
        Without either; some layers are named.
    """
    if chosen := layer or classifier.cam_layer:
        return chosen
    if not classifier.layers():
        raise UnsupportedError(
            f"classifier {classifier.name!r} has no layers, so no prototypes can be found in it; explain it with mask_evolution"
        )
    names = [name for name in classifier.layers() if "." not in name] or list(classifier.layers())
    raise UnsupportedError(
        f"classifier {classifier.name!r} has no default layer; give layer=, the name of one with maps over time, such as "
        f"{', '.join(names[-4:])}"
    )


def clip_name(example: Example | None) -> str:
    """File name of a clip, for records."""
    return "" if example is None else example.path.name


def longest(classifier: Classifier) -> int:
    """Samples that a classifier is given at most."""
    return classifier.maximum_length or round(LONG_S * classifier.sample_rate)


def record_clips(
    classifier: Classifier,
    data: Dataset | Sequence[Example],
    layer: str | None = None,
    batch_size: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> list[LayerClip]:
    """What a layer makes of clips, in one forward pass of the classifier each.

    Parameters
    ----------
    classifier : Classifier
        Any classifier; it stays as it is.
    data : Dataset or sequence of Example
        The clips. Of one that is longer than the classifier takes (30 s without a limit), the first window.
    layer : str, optional
        Dotted name; by default the layer of CAM methods.
    batch_size : int
        Most clips in a pass; only clips of one length share a pass, so that nothing is padded.
    progress : callable, optional
        Called with the number of clips that are done.

    Returns
    -------
    list of LayerClip
        In the order of the data.

    Raises
    ------
    UnsupportedError
        If the classifier has no such layer, or the layer has no maps over time.
    OtoscopeError
        If there are no clips, or a file cannot be read.

    Examples
    --------
    >>> record_clips(model, data)[0].map.shape
    torch.Size([4, 4, 3])
    """
    examples = data.examples if isinstance(data, Dataset) else tuple(data)
    if not examples:
        raise ParameterError("there are no clips; choose other folds, or another data set")
    if batch_size < 1:
        raise ParameterError(f"batch_size must be at least 1; got {batch_size}")
    name, done = layer_of(classifier, layer), 0
    found: dict[int, LayerClip] = {}
    for numbers, sounds, cut in _batches(classifier, examples, batch_size):
        made = record_waveforms(classifier, np.stack(sounds), name)
        for number, clip, whole in zip(numbers, made, cut, strict=True):
            found[number] = LayerClip(
                clip.map, clip.probabilities, clip.cells, clip.waveform, examples[number], cut=whole
            )
        done += len(numbers)
        if progress is not None:
            progress(done)
    return [found[i] for i in range(len(examples))]


def _batches(
    classifier: Classifier, examples: Sequence[Example], size: int
) -> Iterator[tuple[list[int], list[np.ndarray], list[bool]]]:
    """Clips of one length, at most ``size`` together, with their numbers and whether they were cut."""
    limit, waiting, held = longest(classifier), dict[int, list[tuple[int, np.ndarray, bool]]](), 0

    def taken(length: int) -> tuple[list[int], list[np.ndarray], list[bool]]:
        rows = waiting.pop(length)
        return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]

    for number, example in enumerate(examples):
        whole = waveform(example, classifier.sample_rate)
        sound = np.array(whole[:limit], np.float32)
        waiting.setdefault(len(sound), []).append((number, sound, len(whole) > limit))
        held += 1
        if len(waiting[len(sound)]) == size or held >= WAITING:
            ready = len(sound) if len(waiting[len(sound)]) == size else max(waiting, key=lambda n: len(waiting[n]))
            batch = taken(ready)
            held -= len(batch[0])
            yield batch
    for length in list(waiting):
        yield taken(length)


def record_waveforms(classifier: Classifier, waveforms: np.ndarray, layer: str) -> list[LayerClip]:
    """What a layer makes of waveforms ``(batch, time)`` at the classifier's rate, in one pass each.

    Raises
    ------
    UnsupportedError
        If the layer has no maps over time.
    """
    made = record_maps(classifier, torch.from_numpy(waveforms), layer)
    rows = zip(made.maps.cpu(), made.probabilities.cpu(), waveforms, strict=True)
    return [LayerClip(m.clone(), p, made.cells, x) for m, p, x in rows]


# --- sounds -----------------------------------------------------------------------------------------------------------


def read_clip(example: Example, classifier: Classifier) -> Clip:
    """The clip at its own rate and with all its channels, cut to what the classifier is given.

    Raises
    ------
    AudioReadError
    """
    sound = load_audio(example.path)
    rate = sound.sample_rate
    start = round(example.start_s * rate)
    stop = sound.frames if example.stop_s is None else min(sound.frames, round(example.stop_s * rate))
    stop = min(stop, start + round(longest(classifier) / classifier.sample_rate * rate))
    if stop <= start:
        raise AudioReadError(
            example.path, f"it ends before the clip begins, at {example.start_s:g} s; correct the table"
        )
    return Clip(sound.samples[:, start:stop], rate, sound.source, sound.notes)


def inside(clip: Clip, box: Box, nyquist: float) -> np.ndarray:
    """What of a clip lies in a box, ``(channel, time)`` over the whole clip; its edges fade over some milliseconds.

    Parameters
    ----------
    clip : Clip
        The sound.
    box : Box
        The part.
    nyquist : float, Hz
        Half the classifier's rate: a box that reaches it, from 0, has all frequencies of the clip.
    """
    n = max(1, round(clip.duration / CELL_S))
    times = (np.arange(n) + 0.5) * clip.duration / n
    within = (times >= box.start_s) & (times <= box.stop_s)
    top = clip.sample_rate / 2
    if box.low_hz <= 0 and box.high_hz >= nyquist * (1 - 1e-6):
        grid, mask = Grid(np.array([top / 2]), times, "none", "time", clip.duration, top), within[None]
    else:
        hz = bin_frequencies(config_at(clip.sample_rate).n_fft, clip.sample_rate)
        high = box.high_hz if box.high_hz < nyquist * (1 - 1e-6) else np.inf
        grid = Grid(hz, times, "hz", "stft", clip.duration, top)
        mask = ((hz >= box.low_hz) & (hz <= high))[:, None] & within
    kept: np.ndarray = render_clips(clip, mask[None].astype(np.float32), grid, 0, clip.frames)[0]
    return kept


def box_sound(clip: Clip, box: Box, nyquist: float) -> np.ndarray:
    """The sound in a box, ``(channel, time)``, as long as the box and its fades."""
    kept = inside(clip, box, nyquist)
    start = max(0, round((box.start_s - CELL_S) * clip.sample_rate))
    stop = min(clip.frames, round((box.stop_s + CELL_S) * clip.sample_rate))
    return np.ascontiguousarray(kept[:, start : max(stop, start + 1)])


def heard_scores(classifier: Classifier, sounds: Sequence[np.ndarray], rates: Sequence[int]) -> np.ndarray:
    """Probabilities ``(sound, class)`` that a classifier gives to sounds ``(channel, time)`` as they are written."""
    found = []
    with preserve_state(classifier), torch.no_grad():
        for sound, rate in zip(sounds, rates, strict=True):
            x = resample(downmix(sound)[None], rate, classifier.sample_rate)[:, : longest(classifier)]
            given = torch.from_numpy(np.array(x, np.float32)).to(classifier.device)
            found.append(classifier.probabilities(classifier(given)).float().cpu().numpy()[0])
    return np.stack(found) if found else np.zeros((0, len(classifier.labels)), np.float32)
