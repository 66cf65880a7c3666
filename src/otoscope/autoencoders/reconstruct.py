"""A sound of any length, rate and number of channels through an autoencoder, block after block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from otoscope.audio import AudioSource, Span, crossfade, fit_length, is_silent, plan_listening, resample
from otoscope.autoencoders.autoencoder import Autoencoder

MARGIN_S = 1


def reconstruct_blocks(
    source: AudioSource, autoencoder: Autoencoder, sample_rate: int | None = None
) -> Iterator[np.ndarray]:
    """The reconstruction of a sound, ``(channel, time)`` float32, block after block, in constant memory.

    Sounds of up to ten seconds are heard at once; longer ones in windows of ten seconds that fade into one another over
    two, since the autoencoder's norms pool over their whole input. Each channel is reconstructed by itself; windows
    of silence stay silent.

    Parameters
    ----------
    source : AudioSource or Clip
        The sound, ``(channel, time)`` at any rate.
    autoencoder : Autoencoder
        The autoencoder.
    sample_rate : int, Hz, optional
        Rate of the classifier: content above its Nyquist frequency does not enter the autoencoder. By default
        the autoencoder's own.

    Yields
    ------
    ndarray (channel, time)
        At the sound's own rate; together as long as the sound.

    Examples
    --------
    >>> clip = otoscope.load_audio("bark.wav")
    >>> blocks = reconstruct_blocks(clip, load_autoencoder("esc10-mn"))
    >>> sum(block.shape[1] for block in blocks) == clip.frames
    True
    """
    rate, reach = source.sample_rate, sample_rate or autoencoder.sample_rate
    spans = plan_listening(source.frames, rate)
    tail: np.ndarray = np.zeros((source.channels, 0), np.float32)
    for i, span in enumerate(spans):
        near = spans[max(0, i - 3) : i + 4]  # before a last one that moved back, three may overlap
        made = _window(source, span, autoencoder, reach) * crossfade(span, near).astype(np.float32)
        made[:, : tail.shape[1]] += tail
        done = (spans[i + 1].start if i + 1 < len(spans) else span.stop) - span.start
        yield made[:, :done]
        tail = made[:, done:]


def _window(source: AudioSource, span: Span, autoencoder: Autoencoder, reach: int) -> np.ndarray:
    """One window's reconstruction, ``(channel, time)`` at the sound's rate; resampled with its surroundings."""
    rate = source.sample_rate
    margin = 0 if rate == reach or len(range(*span)) == source.frames else MARGIN_S * rate
    around = source.read(span.start - margin, span.stop + margin)
    n = span.stop - span.start
    if is_silent(around[:, margin : margin + n]):
        return np.zeros((source.channels, n), np.float32)
    there = resample(around, rate, reach)
    skip = margin // rate * reach
    device = next(autoencoder.parameters(), torch.empty(0)).device
    with torch.inference_mode():
        heard = torch.from_numpy(np.ascontiguousarray(there[:, skip : there.shape[1] - skip])).to(device)
        made = autoencoder(heard, reach).cpu().numpy()
    return fit_length(resample(made, reach, rate), n)
