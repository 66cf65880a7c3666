"""Spectrograms and features as differentiable torch functions.

Axes: waveform ``(..., time)``, spec ``(..., freq, frame)``. Units: Hz, seconds, samples where a name says so.
"""

from otoscope.spectral.apnet import apnet_log_mel
from otoscope.spectral.inversion import features_to_sound, griffin_lim, mel_to_magnitude
from otoscope.spectral.logmel import FrameConfig, LinearStft, LogMel, MelBands, mel_bank
from otoscope.spectral.mel import KaldiLogMel, kaldi_mel_bank
from otoscope.spectral.resampling import resample_waveform
from otoscope.spectral.scales import frame_times, hz_to_mel, mel_to_hz
from otoscope.spectral.stft import StftConfig, istft, stft

__all__ = [
    "FrameConfig", "KaldiLogMel", "LinearStft", "LogMel", "MelBands", "StftConfig", "apnet_log_mel",
    "features_to_sound", "frame_times", "griffin_lim", "hz_to_mel", "istft", "kaldi_mel_bank", "mel_bank", "mel_to_hz",
    "mel_to_magnitude", "resample_waveform", "stft",
]  # fmt: skip
