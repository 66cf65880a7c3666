"""Front ends of Hugging Face models in differentiable torch: what their NumPy feature extractors compute.

Waveform ``(batch, time)`` -> features ``(batch, 1, mel, frame)`` of the clip alone; padding of features up to a model's
window belongs to the network (`hf_networks`), so that an explanation has no cells where there is no sound. Inside, the
numbers are float64, as in the originals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.audio.windows import fit_length
from otoscope.spectral.logmel import MelBands, hz_to_slaney_mel, mel_bank, slaney_mel_to_hz
from otoscope.spectral.mel import kaldi_mel_bank
from otoscope.spectral.scales import hz_to_mel, mel_to_hz

EPSILON = float(np.finfo(np.float32).eps)  # Kaldi's floor of mel power
AMIN = 1e-10  # the floor of mel power for Whisper and CLAP


@dataclass(frozen=True)
class Framing:
    """How a waveform is cut into frames.

    Parameters
    ----------
    sample_rate : int, Hz
        Sample rate.
    n_fft, win_length, hop_length : int, samples
        Length of the FFT, of the window, and between frames.
    center : bool
        True: frame ``i`` is centred on sample ``i * hop_length``. False: it begins there.
    """

    sample_rate: int
    n_fft: int
    win_length: int
    hop_length: int
    center: bool

    def frame_times(self, n_frames: int) -> np.ndarray:
        """Centre of each frame in seconds."""
        first = 0 if self.center else self.win_length / 2
        return (np.arange(n_frames) * self.hop_length + first) / self.sample_rate


class MelFrontEnd(nn.Module):
    """Frames -> mel power, and where bands and frames lie.

    Parameters
    ----------
    framing : Framing
        Window, hop and rate.
    window : Tensor (win_length,)
        Analysis window.
    bank : ndarray (mel, n_fft // 2 + 1)
        Mel filters, linear.
    centres : ndarray (mel,), Hz
        Centre frequency of each band.
    """

    window: Tensor
    bank: Tensor
    minimum_length: int = 1

    def __init__(self, framing: Framing, window: Tensor, bank: np.ndarray, centres: np.ndarray):
        super().__init__()
        self.framing, self.sample_rate, self._centres = framing, framing.sample_rate, centres
        self.register_buffer("window", window.double(), persistent=False)
        self.register_buffer("bank", torch.from_numpy(bank).double(), persistent=False)

    def band_frequencies(self) -> np.ndarray:
        """Centre of each band in Hz."""
        return self._centres.copy()

    def frame_times(self, n_frames: int) -> np.ndarray:
        """Centre of each frame in seconds."""
        return self.framing.frame_times(n_frames)

    def mel_power(self, frames: Tensor) -> Tensor:
        """Power in mel bands ``(batch, mel, frame)`` of frames ``(batch, frame, win_length)``."""
        spec = torch.fft.rfft(frames * self.window, n=self.framing.n_fft)
        power = spec.real.square() + spec.imag.square()  # (batch, frame, freq)
        return (power @ self.bank.T).transpose(1, 2)  # (batch, mel, frame)

    def centred(self, waveform: Tensor) -> Tensor:
        """Frames ``(batch, frame, win_length)`` that are centred on multiples of the hop; the ends are reflected."""
        half = self.framing.n_fft // 2
        padded = nn.functional.pad(waveform.double().unsqueeze(1), (half, half), mode="reflect").squeeze(1)
        return padded.unfold(-1, self.framing.win_length, self.framing.hop_length)


class KaldiFbank(MelFrontEnd):
    """Log-mel filter bank after Kaldi: AST, and wav2vec2-BERT.

    Frames of 25 ms every 10 ms that lie inside the clip, without their mean, pre-emphasis 0.97 inside each frame, power,
    Kaldi's mel bank from 20 Hz to Nyquist, ``log(max(power, eps))``, then an affine map.

    Parameters
    ----------
    sample_rate : int, Hz
        Sample rate.
    n_mels : int
        Number of mel bands.
    povey : bool
        Kaldi's own window, ``hann ** 0.85``, in place of Hann.
    gain : float
        Factor on the waveform; 32768 for models that were trained on 16-bit numbers.
    max_frames : int
        Frames beyond are cut off; 0 keeps all.
    minimum_frames : int
        Shorter clips are padded with silence to this many frames.
    framing : Framing, optional
        In place of 25 ms every 10 ms.
    shift, scale : float
        Features are ``(log power - shift) / scale``.

    Notes
    -----
    Source: gong2021ast.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mels: int = 128,
        *,
        povey: bool = False,
        gain: float = 1.0,
        max_frames: int = 0,
        minimum_frames: int = 1,
        framing: Framing | None = None,
        shift: float = 0.0,
        scale: float = 1.0,
    ):
        framing = framing or kaldi_framing(sample_rate)
        window = torch.hann_window(framing.win_length, periodic=False, dtype=torch.float64)
        top = sample_rate / 2
        bank = kaldi_mel_bank(n_mels, framing.n_fft, sample_rate, 20.0, top)
        centres = mel_to_hz(np.linspace(hz_to_mel(20.0), hz_to_mel(top), n_mels + 2)[1:-1])
        super().__init__(framing, window**0.85 if povey else window, bank, centres)
        self.gain, self.max_frames, self.shift, self.scale = gain, max_frames, shift, scale
        self.minimum_length = framing.win_length + (minimum_frames - 1) * framing.hop_length

    @property
    def silence(self) -> float:
        """The feature value of digital silence."""
        return (float(np.log(EPSILON)) - self.shift) / self.scale

    def forward(self, waveform: Tensor) -> Tensor:
        """Features ``(batch, 1, mel, frame)`` of waveforms ``(batch, time)``."""
        frames = (waveform.double() * self.gain).unfold(-1, self.framing.win_length, self.framing.hop_length)
        if self.max_frames:
            frames = frames[:, : self.max_frames]
        frames = frames - frames.mean(-1, keepdim=True)
        before = torch.cat([frames[..., :1], frames[..., :-1]], -1)  # a frame's first sample precedes itself
        log = self.mel_power(frames - 0.97 * before).clamp_min(EPSILON).log()
        return ((log - self.shift) / self.scale).unsqueeze(1).to(waveform.dtype)  # (batch, 1, mel, frame)


def kaldi_framing(sample_rate: int) -> Framing:
    """Kaldi's frames: 25 ms every 10 ms, transforms of the next power of two."""
    length = int(sample_rate * 0.025)
    return Framing(sample_rate, 1 << (length - 1).bit_length(), length, int(sample_rate * 0.010), center=False)


class WhisperLogMel(MelFrontEnd):
    """Whisper's log-mel: at most 8 decades below the clip's loudest cell, mapped to about [-1, 1].

    The frames that hold sound of the clip; clips longer than the model's window are cut.

    Parameters
    ----------
    sample_rate : int, Hz
        Sample rate.
    n_mels : int
        Number of mel bands.
    n_fft, hop_length : int, samples
        Length of the FFT and window, and between frames.
    n_samples : int
        The model's window, 30 s.

    Notes
    -----
    Source: radford2023whisper.
    """

    silence = (float(np.log10(AMIN)) + 4.0) / 4.0

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mels: int = 80,
        *,
        n_fft: int = 400,
        hop_length: int = 160,
        n_samples: int = 480000,
    ):
        bands = MelBands(n_mels, 0.0, 8000.0, "slaney", "slaney")
        edges = slaney_mel_to_hz(np.linspace(0.0, float(hz_to_slaney_mel(bands.high_hz)), n_mels + 2))
        super().__init__(
            Framing(sample_rate, n_fft, n_fft, hop_length, center=True),
            torch.hann_window(n_fft, dtype=torch.float64),
            mel_bank(bands, n_fft, sample_rate),
            edges[1:-1],
        )
        self.n_samples = n_samples

    def forward(self, waveform: Tensor) -> Tensor:
        """Features ``(batch, 1, mel, frame)`` of waveforms ``(batch, time)``."""
        heard = waveform[:, : self.n_samples]
        hop, half = self.framing.hop_length, self.framing.n_fft // 2
        n_frames = min(self.n_samples // hop, (heard.shape[1] + half - 1) // hop + 1)
        whole = fit_length(heard, self.n_samples)
        log = self.mel_power(self.centred(whole)[:, :n_frames]).clamp_min(AMIN).log10()
        log = torch.maximum(log, log.amax((1, 2), keepdim=True) - 8.0)
        return ((log + 4.0) / 4.0).unsqueeze(1).to(waveform.dtype)  # (batch, 1, mel, frame)


class ClapLogMel(MelFrontEnd):
    """CLAP's mel power in dB, of a window that short clips are made to fill.

    Parameters
    ----------
    sample_rate : int, Hz
        Sample rate.
    bands : MelBands
        HTK bands for models with fusion, Slaney's for those without.
    n_fft, hop_length : int, samples
        Length of the FFT and window, and between frames.
    n_samples : int
        The model's window, 10 s.
    padding : {"repeatpad", "repeat", "pad"}
        Shorter clips are repeated as often as they fit whole and padded with silence, repeated and cut, or padded.
    cut : bool
        True: of longer clips the start is heard (the original draws a place at random). False: all is kept, for models
        with fusion.

    Notes
    -----
    Source: wu2023laionclap, with a fixed crop.
    """

    silence = float(10 * np.log10(AMIN))

    def __init__(
        self,
        sample_rate: int = 48000,
        bands: MelBands | None = None,
        *,
        n_fft: int = 1024,
        hop_length: int = 480,
        n_samples: int = 480000,
        padding: str = "repeatpad",
        cut: bool = True,
    ):
        bands = bands or MelBands(64, 50.0, 14000.0)
        to_mel, to_hz = (hz_to_mel, mel_to_hz) if bands.scale == "htk" else (hz_to_slaney_mel, slaney_mel_to_hz)
        edges = to_hz(np.linspace(float(to_mel(bands.low_hz)), float(to_mel(bands.high_hz)), bands.n_mels + 2))
        super().__init__(
            Framing(sample_rate, n_fft, n_fft, hop_length, center=True),
            torch.hann_window(n_fft, dtype=torch.float64),
            mel_bank(bands, n_fft, sample_rate),
            edges[1:-1],
        )
        self.n_samples, self.padding, self.cut = n_samples, padding, cut

    def fill(self, waveform: Tensor) -> Tensor:
        """Waveforms ``(batch, time)`` that fill the window."""
        length = waveform.shape[1]
        if length >= self.n_samples:
            return waveform[:, : self.n_samples] if self.cut else waveform
        times = self.n_samples // length
        if self.padding == "repeat":
            return waveform.repeat(1, times + 1)[:, : self.n_samples]
        if self.padding == "repeatpad":
            waveform = waveform.repeat(1, times)
        return fit_length(waveform, self.n_samples)

    def forward(self, waveform: Tensor) -> Tensor:
        """Features ``(batch, 1, mel, frame)`` of waveforms ``(batch, time)``."""
        power = self.mel_power(self.centred(self.fill(waveform)))
        return (10.0 * power.clamp_min(AMIN).log10()).unsqueeze(1).to(waveform.dtype)  # (batch, 1, mel, frame)
