"""Slow twins of `otoscope.spectral`: float64, loops, as the papers and the released code put it."""

import math

import numpy as np


def mel(hz):
    return 1127.0 * math.log(1.0 + hz / 700.0)


def kaldi_mel_bank(n_mels, n_fft, rate, low_hz, high_hz):
    """Kaldi, mel-computations.cc: triangles on the mel axis, evaluated at the mel of each bin, none at Nyquist."""
    step = (mel(high_hz) - mel(low_hz)) / (n_mels + 1)
    bank = np.zeros((n_mels, n_fft // 2 + 1))
    for m in range(n_mels):
        left, centre, right = (mel(low_hz) + (m + i) * step for i in range(3))
        for k in range(n_fft // 2):
            x = mel(k * rate / n_fft)
            if left < x < right:
                bank[m, k] = (x - left) / (centre - left) if x <= centre else (right - x) / (right - centre)
    return bank


def log_mel(x, rate, *, n_mels, n_fft, win, hop, low_hz, high_hz):
    """EfficientAT's AugmentMelSTFT in evaluation mode, one waveform -> (mel, frame)."""
    y = [x[i + 1] - 0.97 * x[i] for i in range(len(x) - 1)]
    half, n = n_fft // 2, len(y)
    at = lambda i: y[-i] if i < 0 else y[2 * (n - 1) - i] if i >= n else y[i]  # noqa: E731  (reflected ends)
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * i / (win - 1)) for i in range(win)]
    bank, columns = kaldi_mel_bank(n_mels, n_fft, rate, low_hz, high_hz), []
    for frame in range(n // hop + 1):
        cut = np.zeros(n_fft)
        for i in range(win):
            j = i + (n_fft - win) // 2
            cut[j] = hann[i] * at(frame * hop - half + j)
        columns.append((np.log(bank @ np.abs(np.fft.rfft(cut)) ** 2 + 1e-5) + 4.5) / 5)
    return np.stack(columns, 1)


def stft(x, n_fft, hop):
    """Centred, silence beyond the ends, root of a periodic Hann window, by the sum of the definition."""
    frames, spec = math.ceil(len(x) / hop) + 1, []
    for f in range(frames):
        column = np.zeros(n_fft // 2 + 1, complex)
        for i in range(n_fft):
            t = f * hop - n_fft // 2 + i
            if 0 <= t < len(x):
                window = math.sqrt(0.5 - 0.5 * math.cos(2 * math.pi * i / n_fft))
                column += window * x[t] * np.exp(-2j * np.pi * np.arange(n_fft // 2 + 1) * i / n_fft)
        spec.append(column)
    return np.stack(spec, 1)


def istft(spec, n_fft, hop, length):
    """Weighted overlap-add over the sum of squared windows."""
    window = [math.sqrt(0.5 - 0.5 * math.cos(2 * math.pi * i / n_fft)) for i in range(n_fft)]
    out = np.zeros(length)
    weight = np.zeros(length)
    for f in range(spec.shape[1]):
        piece = np.fft.irfft(spec[:, f], n_fft)
        for i in range(n_fft):
            t = f * hop - n_fft // 2 + i
            if 0 <= t < length:
                out[t] += window[i] * piece[i]
                weight[t] += window[i] ** 2
    return out / weight
