"""From mel features back to sound: how near the features of the sound come to those that it was made from.

    python benchmarks/mel_inversion.py --data shared/data/esc10

Compares, on clips of ESC-10 and for the published framing (4096 samples, hop 1024, 128 bands) and one of half the length:

- ``nnls, centred``: magnitudes by non-negative least squares, Griffin-Lim whose frames are centred although those of the features
  are not: what the authors of APNet do;
- ``nnls``: the same magnitudes, with frames as the features have them;
- ``pseudo-inverse``: magnitudes by the transposed filters' least squares, negative ones cut off;
- ``otoscope``: multiplicative updates from a smooth start, Griffin-Lim with momentum (`otoscope.spectral.features_to_sound`).

Prints a Markdown table: root mean square of the differences in dB, over cells within 40 dB of the loudest and over all; the level
of the sound against the original in dB; seconds a clip (of 4.5 s).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from otoscope.audio import load_audio, resample
from otoscope.spectral import FrameConfig, LogMel, MelBands, features_to_sound, griffin_lim, mel_to_magnitude

RATE, SECONDS, ITERATIONS = 22050, 4.5, 32
FRAMINGS = ((4096, 1024, 128), (2048, 1024, 64))


def front_end(n_fft: int, hop: int, bands: int, center: bool = False) -> LogMel:
    """Power in dB of HTK bands with Slaney norm."""
    return LogMel(FrameConfig(RATE, n_fft, hop, center), MelBands(bands, 0.0, RATE / 2, "htk", "slaney"))


def power_of(features: Tensor, front: LogMel) -> Tensor:
    """Mel power ``(frame, band)``."""
    return 10 ** ((features.T * front.bands.divisor - front.bands.shift) / 10)


def nnls_magnitude(mel: Tensor, bank: Tensor) -> Tensor:
    """Magnitudes by non-negative least squares, frame by frame."""
    filters = bank.numpy().astype(np.float64)
    return torch.from_numpy(np.stack([nnls(filters, frame)[0] for frame in mel.double().numpy()])).float().sqrt()


def pseudo_magnitude(mel: Tensor, bank: Tensor) -> Tensor:
    """Magnitudes by the pseudo-inverse; negative power is 0."""
    return (mel.double() @ torch.linalg.pinv(bank.double()).T).clamp_min(0).sqrt().float()


def methods(front: LogMel, centred: LogMel) -> dict[str, Callable[[Tensor], np.ndarray]]:
    """Name -> features to sound."""

    def by(
        magnitude: Callable[[Tensor, Tensor], Tensor], frames: LogMel, momentum: float = 0.99
    ) -> Callable[[Tensor], np.ndarray]:
        def run(features: Tensor) -> np.ndarray:
            return griffin_lim(magnitude(power_of(features, front), front.bank), frames, ITERATIONS, momentum).numpy()

        return run

    return {
        "nnls, centred": by(nnls_magnitude, centred),
        "nnls": by(nnls_magnitude, front),
        "pseudo-inverse": by(pseudo_magnitude, front),
        "updates, no level": by(mel_to_magnitude, front),
        "otoscope": lambda features: features_to_sound(features, front, ITERATIONS),
        "otoscope, 16 iterations": lambda features: features_to_sound(features, front, 16),
    }


def compare(files: list[Path], framing: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Name -> means of: difference on loud cells, on all cells, level, seconds."""
    front, centred = front_end(*framing), front_end(*framing, center=True)
    rows: dict[str, list[tuple[float, ...]]] = {}
    for file in files:
        clip = load_audio(file)
        x = resample(clip.samples.mean(0, keepdims=True), clip.sample_rate, RATE)[0][: int(SECONDS * RATE)]
        wanted = front(torch.from_numpy(x)[None])[0, 0]
        for name, run in methods(front, centred).items():
            started = time.perf_counter()
            sound = run(wanted)
            seconds = time.perf_counter() - started
            found = front(torch.from_numpy(sound)[None])[0, 0]
            n = min(found.shape[1], wanted.shape[1])
            difference, level = found[:, :n] - wanted[:, :n], wanted[:, :n]
            loud = level > level.max() - 40
            rms = [float(d.square().mean().sqrt()) for d in (difference[loud], difference)]
            rows.setdefault(name, []).append((*rms, 20 * np.log10(np.std(sound) / np.std(x)), seconds))
    return {name: np.array(values).mean(0) for name, values in rows.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of ESC-10 or ESC-50")
    parser.add_argument("--clips", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = sorted((options.data / "audio").glob("1-*"))
    files = found[:: max(1, len(found) // options.clips)][: options.clips]
    head = ("Window, hop, bands", "Inversion", "Loud cells, dB", "All cells, dB", "Level, dB", "Seconds")
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for framing in FRAMINGS:
        for name, (loud, every, level, seconds) in compare(files, framing).items():
            print(
                f"| {', '.join(map(str, framing))} | {name} | {loud:.2f} | {every:.2f} | {level:+.2f} | {seconds:.2f} |"
            )


if __name__ == "__main__":
    main()
