"""What is measured on each batch of test clips: predictions, closeness, bands, similarity, and sounds without some frequencies."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from otoscope.audio import fit_length, resample
from otoscope.autoencoders import reconstruct_blocks
from otoscope.core.files import atomic_write, make_folder
from otoscope.core.records import Clip
from otoscope.datasets import Dataset
from otoscope.explanation.scoring import score_sounds
from otoscope.metrics.signal import mutual_information, si_sdr_db
from otoscope.spectral import StftConfig, stft
from otoscope.spectral.bands import band_power, keep_band, third_octaves
from otoscope.studies.like_to_hear.members import CONTROL, Members, Tuned
from otoscope.studies.like_to_hear.settings import FrequencySettings, LikeToHearRecipe
from otoscope.training.data import Clips, loader

LOWEST_HZ = 44.0
SPECTRUM = StftConfig(n_fft=512, hop_length=128)
FLOOR_DB = -90.0
VERSION = 2  # of what is measured: parts of another version are computed again
ORIGINAL, RESAMPLED = "original", "resampled"


@dataclass(frozen=True)
class Condition:
    """What is done to a sound's frequencies.

    Parameters
    ----------
    kind : {"all", "only", "without", "below", "above"}
        Nothing; keep the band alone; remove it; low-pass at ``high_hz``; high-pass at ``low_hz``.
    low_hz, high_hz : float, Hz
        Edges of the band.
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
    """Everything that a batch of clips goes through; ``labels`` are the data set's."""

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

    def reconstruct(self, sounds: np.ndarray, tuned: Tuned) -> np.ndarray:
        """One autoencoder's reconstructions ``(clip, time)``, at the rate of the classifier that it was tuned to.

        They are made as the method ``like-to-hear`` makes them.
        """
        tuned_to = self.members.classifiers.get(tuned.classifier)
        rate = self.rate if tuned_to is None else tuned_to.sample_rate
        clips = (Clip(sound[None], self.rate) for sound in sounds)
        return np.stack([np.concatenate(list(reconstruct_blocks(c, tuned.autoencoder, rate)), 1)[0] for c in clips])

    def all_sounds(self, waveform: Tensor) -> dict[str, np.ndarray]:
        """The original, the resampled original and every reconstruction, ``(clip, time)`` at the study's rate."""
        original = waveform.cpu().numpy()
        between = self.members.autoencoders[CONTROL].autoencoder.sample_rate
        resampled = fit_length(resample(resample(original, self.rate, between), between, self.rate), original.shape[-1])
        made = {key: self.reconstruct(original, tuned) for key, tuned in self.members.autoencoders.items()}
        return {ORIGINAL: original, RESAMPLED: resampled, **made}

    def score(self, name: str, sounds: np.ndarray) -> np.ndarray:
        """Probabilities ``(clip, class)`` of the data set's classes that a classifier gives to sounds as heard."""
        p = score_sounds(sounds, self.rate, self.members.classifiers[name], self.recipe.batch_size)
        return p[:, self.members.numbers[name]]

    def measure(self, waveform: Tensor) -> dict[str, np.ndarray]:
        """All measures of one batch; the first axis of each array counts clips.

        ``said`` (clip, sound, classifier, class), ``mse`` and ``si_sdr_db`` (clip, sound), ``power`` (clip, sound, band),
        ``spectrum`` (clip, sound, bin), ``likeness`` (clip, sound, sound), ``filtered`` (clip, classifier, original or own
        reconstruction, condition, class).
        """
        sounds = self.all_sounds(waveform)
        plain = np.stack([sounds[name] for name in self.sounds], 1)  # (clip, sound, time)
        stacked = torch.from_numpy(plain)
        return {
            "said": np.stack(
                [np.stack([self.score(c, sounds[s]) for c in self.members.classifiers], 1) for s in self.sounds], 1
            ),
            "mse": ((plain - plain[:, :1]) ** 2).mean(-1),
            "si_sdr_db": si_sdr_db(plain, plain[:, :1]),
            "power": band_power(stacked, self.rate, self.edges).cpu().numpy(),
            "spectrum": stft(stacked.flatten(0, 1), SPECTRUM).abs().mean(-1).unflatten(0, stacked.shape[:2]).numpy(),
            "likeness": _similarity(stacked),
            "filtered": self._filtered(sounds),
        }

    def _filtered(self, sounds: dict[str, np.ndarray]) -> np.ndarray:
        rows = []
        for name in self.asked:
            own = self.own(name)
            heard = [torch.from_numpy(sounds[s]) for s in (ORIGINAL, own) if s is not None]
            found = [[self.score(name, c.apply(s, self.rate).numpy()) for c in self.conditions] for s in heard]
            if own is None:
                found.append([np.full_like(p, np.nan) for p in found[0]])
            rows.append(np.asarray(found))  # (sound, condition, clip, class)
        return np.moveaxis(np.stack(rows), 3, 0)


def _similarity(stacked: Tensor) -> np.ndarray:
    """Normalised mutual information of the log spectrograms of each pair of sounds, ``(clip, sound, sound)``."""
    spec = stft(stacked.flatten(0, 1), StftConfig(n_fft=1024, hop_length=512)).abs().clamp_min(1e-12)
    db = (20 * spec.log10()).unflatten(0, stacked.shape[:2]).cpu().numpy()
    db = np.maximum(db, db.max((2, 3), keepdims=True) + FLOOR_DB)
    clips, sounds = db.shape[:2]
    out = np.ones((clips, sounds, sounds))
    for clip in range(clips):
        for i, j in itertools.combinations(range(sounds), 2):
            out[clip, i, j] = out[clip, j, i] = mutual_information(db[clip, i], db[clip, j])
    return out


def measure_all(evaluator: Evaluator, test: Dataset, out: Path) -> dict[str, np.ndarray]:
    """Measures of all test clips; batches that are on disk are read."""
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
    """What the measures depend on: clips, classifiers, autoencoders and settings."""
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
    """SHA-256 of the measures and of what they depend on."""
    h = hashlib.sha256(key.encode())
    for name, values in sorted(part.items()):
        h.update(f"{name}:{values.dtype}:{values.shape}".encode())
        h.update(np.ascontiguousarray(values).tobytes())
    return h.hexdigest()
