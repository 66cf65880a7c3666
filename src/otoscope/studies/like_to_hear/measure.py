"""What is measured on each batch of test clips: verdicts, closeness, bands, likeness, and sounds without some frequencies."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from otoscope.core.files import atomic_write, make_folder
from otoscope.datasets import Dataset
from otoscope.metrics.signal import mutual_information, si_sdr_db
from otoscope.spectral import StftConfig, resample_waveform, stft
from otoscope.spectral.bands import band_power, keep_band, third_octaves
from otoscope.studies.like_to_hear.members import CONTROL, Members, Tuned
from otoscope.studies.like_to_hear.settings import FrequencySettings, LikeToHearRecipe
from otoscope.training.data import Clips, loader

LOWEST_HZ = 44.0
SPECTRUM = StftConfig(n_fft=512, hop_length=128)
FLOOR_DB = -90.0
VERSION = 1  # of what is measured: parts of another one are made again
ORIGINAL, RESAMPLED = "original", "resampled"


@dataclass(frozen=True)
class Condition:
    """What is done to a sound's frequencies.

    Parameters
    ----------
    kind : {"all", "only", "without", "below", "above"}
        Nothing; keep the band alone; remove it; low-pass at ``high_hz``; high-pass at ``low_hz``.
    low_hz, high_hz : float, Hz
    """

    kind: str
    low_hz: float
    high_hz: float

    def apply(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """The sound under this condition, of the same length."""
        if self.kind == "all":
            return waveform
        kept = keep_band(waveform, sample_rate, self.low_hz, self.high_hz)
        return waveform - kept if self.kind == "without" else kept


def conditions(settings: FrequencySettings, top_hz: float) -> list[Condition]:
    """All conditions of a study, for sounds that reach up to ``top_hz``."""
    edges = [edge for edge in settings.edges_hz if edge < top_hz] + [top_hz]
    bands = list(itertools.pairwise(edges))
    cuts = [cut for cut in settings.cutoffs_hz if cut < top_hz]
    return [
        Condition("all", 0.0, top_hz),
        *(Condition("only", *band) for band in bands),
        *(Condition("without", *band) for band in bands),
        *(Condition("below", 0.0, cut) for cut in cuts),
        *(Condition("above", cut, top_hz) for cut in cuts),
    ]


class Evaluator:
    """Everything that a batch of clips goes through.

    Parameters
    ----------
    recipe : LikeToHearRecipe
    members : Members
    labels : tuple of str
        Of the data set.
    device : torch.device
    """

    def __init__(self, recipe: LikeToHearRecipe, members: Members, labels: tuple[str, ...], device: torch.device):
        self.recipe, self.members, self.labels, self.device = recipe, members, labels, device
        self.rate = max(c.sample_rate for c in members.classifiers.values())
        self.sounds = [ORIGINAL, RESAMPLED, *members.autoencoders]
        self.edges = third_octaves(LOWEST_HZ, self.rate / 2)
        self.conditions = conditions(recipe.frequencies, self.rate / 2)
        self.asked = list(recipe.frequencies.classifiers) or recipe.main()
        for member in (*members.classifiers.values(), *(t.autoencoder for t in members.autoencoders.values())):
            member.to(device).eval()

    def own(self, classifier: str) -> str | None:
        """The first autoencoder that was tuned to a classifier."""
        return next((k for k, t in self.members.autoencoders.items() if t.classifier == classifier), None)

    def reconstruct(self, waveform: Tensor, tuned: Tuned) -> Tensor:
        """One autoencoder's reconstruction at the study's rate, heard at the rate of whom it was tuned to."""
        listener = self.members.classifiers.get(tuned.classifier)
        rate = self.rate if listener is None else listener.sample_rate
        there = resample_waveform(waveform, self.rate, rate)
        back = resample_waveform(tuned.autoencoder(there, rate), rate, self.rate)
        return _as_long(back, waveform.shape[-1])

    def all_sounds(self, waveform: Tensor) -> dict[str, Tensor]:
        """The original, the resampled original and every reconstruction, ``(batch, time)`` at the study's rate."""
        between = self.members.autoencoders[CONTROL].autoencoder.sample_rate
        there = resample_waveform(waveform, self.rate, between)
        resampled = _as_long(resample_waveform(there, between, self.rate), waveform.shape[-1])
        made = {key: self.reconstruct(waveform, tuned) for key, tuned in self.members.autoencoders.items()}
        return {ORIGINAL: waveform, RESAMPLED: resampled, **made}

    def hear(self, name: str, sound: Tensor) -> np.ndarray:
        """Probabilities that a classifier gives, of the data set's classes, ``(batch, class)``."""
        classifier = self.members.classifiers[name]
        logits = classifier(resample_waveform(sound, self.rate, classifier.sample_rate))
        return classifier.probabilities(logits.float())[:, self.members.numbers[name]].cpu().numpy()

    def measure(self, waveform: Tensor) -> dict[str, np.ndarray]:
        """All measures of one batch; the first axis of each array counts clips.

        ``said`` (clip, sound, classifier, class), ``mse`` and ``si_sdr_db`` (clip, sound), ``power`` (clip, sound, band),
        ``spectrum`` (clip, sound, bin), ``likeness`` (clip, sound, sound), ``filtered`` (clip, classifier, original or own
        reconstruction, condition, class).
        """
        sounds = self.all_sounds(waveform.to(self.device))
        stacked = torch.stack([sounds[name] for name in self.sounds], 1)  # (clip, sound, time)
        plain = stacked.cpu().numpy()
        return {
            "said": np.stack(
                [np.stack([self.hear(c, sounds[s]) for c in self.members.classifiers], 1) for s in self.sounds], 1
            ),
            "mse": ((plain - plain[:, :1]) ** 2).mean(-1),
            "si_sdr_db": si_sdr_db(plain, plain[:, :1]),
            "power": band_power(stacked, self.rate, self.edges).cpu().numpy(),
            "spectrum": stft(stacked.flatten(0, 1), SPECTRUM)
            .abs()
            .mean(-1)
            .unflatten(0, stacked.shape[:2])
            .cpu()
            .numpy(),
            "likeness": _likeness(stacked),
            "filtered": self._filtered(sounds),
        }

    def _filtered(self, sounds: dict[str, Tensor]) -> np.ndarray:
        rows = []
        for name in self.asked:
            own = self.own(name)
            heard = [sounds[ORIGINAL], *([sounds[own]] if own is not None else [])]
            found = [[self.hear(name, c.apply(sound, self.rate)) for c in self.conditions] for sound in heard]
            if own is None:
                found.append([np.full_like(p, np.nan) for p in found[0]])
            rows.append(np.asarray(found))  # (sound, condition, clip, class)
        return np.moveaxis(np.stack(rows), 3, 0)


def _as_long(waveform: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(waveform, (0, max(0, length - waveform.shape[-1])))[..., :length]


def _likeness(stacked: Tensor) -> np.ndarray:
    """Normalised mutual information of the log spectrograms of each pair of sounds, ``(clip, sound, sound)``."""
    spec = stft(stacked.flatten(0, 1), StftConfig(n_fft=1024, hop_length=512)).abs().clamp_min(1e-12)
    db = (20 * spec.log10()).unflatten(0, stacked.shape[:2]).cpu().numpy()
    db = np.maximum(db, db.max((2, 3), keepdims=True) + FLOOR_DB)
    clips, sounds = db.shape[:2]
    out = np.ones((clips, sounds, sounds))
    for clip in range(clips):
        for i in range(sounds):
            for j in range(i + 1, sounds):
                out[clip, i, j] = out[clip, j, i] = mutual_information(db[clip, i], db[clip, j])
    return out


def measure_all(evaluator: Evaluator, test: Dataset, out: Path) -> dict[str, np.ndarray]:
    """Measures of all test clips; batches that are there already are read, not made again."""
    clips = Clips(test, evaluator.rate, evaluator.recipe.data)
    folder = make_folder(out / "parts")
    size = evaluator.recipe.batch_size
    key = _key(evaluator, test)
    parts = []
    with torch.inference_mode(), tqdm(total=len(clips), desc="measuring", unit="clip", disable=None, delay=2) as bar:
        for i, (waveform, _) in enumerate(loader(clips, size)):
            file = folder / f"batch-{i:05d}-of-{size}.npz"
            part = _read_part(file, key)
            if part is None:
                part = evaluator.measure(waveform)
                with atomic_write(file) as unfinished, unfinished.open("wb") as handle:
                    np.savez_compressed(handle, fingerprint=np.array(_fingerprint(key, part)), **part)  # type: ignore[arg-type]
            parts.append(part)
            bar.update(len(waveform))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _key(evaluator: Evaluator, test: Dataset) -> str:
    """What the measures hang on: clips, classifiers, autoencoders and settings."""
    h = hashlib.sha256()
    for classifier in evaluator.members.classifiers.values():
        h.update(classifier.digest().encode())
    for tuned in evaluator.members.autoencoders.values():
        h.update(tuned.autoencoder.digest().encode())
    data = evaluator.recipe.data.replace(root="", workers=0)
    h.update(repr((VERSION, evaluator.sounds, evaluator.asked, evaluator.conditions, evaluator.rate, data)).encode())
    for example in test.examples:
        h.update(repr((example.path.name, example.index, example.start_s, example.stop_s)).encode())
        h.update(example.path.read_bytes())
    return h.hexdigest()


def _read_part(file: Path, key: str) -> dict[str, np.ndarray] | None:
    """A batch that was measured before, on the same; None where there is none, or it is damaged."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            part = {name: stored[name] for name in stored.files}
    except Exception:  # noqa: BLE001  (a damaged file raises whatever zip, zlib and numpy come upon)
        return None
    return part if str(part.pop("fingerprint", part.pop("seal", ""))) == _fingerprint(key, part) else None


def _fingerprint(key: str, part: dict[str, np.ndarray]) -> str:
    """SHA-256 of what the measures hang on and of the measures."""
    h = hashlib.sha256(key.encode())
    for name, values in sorted(part.items()):
        h.update(f"{name}:{values.dtype}:{values.shape}".encode())
        h.update(np.ascontiguousarray(values).tobytes())
    return h.hexdigest()


def batches_of(test: Dataset, evaluator: Evaluator, chosen: list[int]) -> Iterator[tuple[int, Tensor]]:
    """Chosen clips one by one, with their number, ``(1, time)`` at the study's rate."""
    clips = Clips(test, evaluator.rate, evaluator.recipe.data)
    for i in chosen:
        yield i, clips[i][0][None]
