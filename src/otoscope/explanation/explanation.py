"""The record of one answer, and the sounds, files and pages that come of it."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from otoscope.attribution.exemplars import Exemplar
from otoscope.audio import AudioSource, close_audio, downmix, is_silent, open_audio
from otoscope.classifiers import Classifier
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError
from otoscope.core.files import make_folder, write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.core.records import Attribution, Clip, Mask, Scores, Target
from otoscope.core.runtime import versions
from otoscope.domains import Rendition, render_blocks
from otoscope.explanation.artifacts import PARTS as PARTS
from otoscope.explanation.artifacts import (
    absolute,
    blocks_of,
    keep_the_original,
    temporary_folder,
    write_arrays,
    write_exemplars,
    write_sounds,
)
from otoscope.explanation.controls import control_scores
from otoscope.explanation.explainers import GeneratedSound
from otoscope.explanation.request import Request
from otoscope.explanation.scoring import classifier_input, score_sound
from otoscope.explanation.verdict import Verdict, cancellation, judge
from otoscope.explanation.windows import windows_of
from otoscope.metrics import measure
from otoscope.surgery import preserve_state

FORMAT = "otoscope-explanation/1"


class BackgroundRecord(NamedTuple):
    """The sounds that a method compared with: their path, or their name where they were given as data, and their digest."""

    path: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a classifier listened to in one sound.

    Parameters
    ----------
    source : AudioSource
        The sound, at its own rate, with all its channels.
    classifier : Classifier
        The classifier that is explained.
    request : Request
        Method, domain, mask, target, seed.
    target : Target
        The class that is explained.
    attribution : Attribution
        Values of all cells.
    mask : Mask
        The share of each cell that is kept.
    scores : Scores
        Probabilities of original, kept and removed in the domain.
    seconds : float
        How long it took.
    n_windows : int
        How many windows the sound was heard in (1 up to 30 s, or to what the classifier can hear at once).
    weights_sha256 : str
        Digest of the classifier's weights at the time; what is measured later must have the same.
    generated : GeneratedSound, optional
        The kept sound, where the method gave it; without, the mask makes it.
    rendition : Rendition, optional
        How masks on this sound are heard, if the grid alone does not determine it.
    background : BackgroundRecord, optional
        What the method compared with, as it was then; without, silence.

    Examples
    --------
    >>> import otoscope, numpy as np
    >>> noise = np.random.default_rng(0).normal(size=32000) / 10
    >>> e = otoscope.explain(noise, sample_rate=32000, method="input_x_gradient")
    >>> e.kept.frames == e.removed.frames == e.source.frames
    True
    """

    source: AudioSource
    classifier: Classifier
    request: Request
    target: Target
    attribution: Attribution
    mask: Mask
    scores: Scores
    seconds: float
    n_windows: int = 1
    weights_sha256: str = ""
    generated: GeneratedSound | None = None
    rendition: Rendition | None = None
    background: BackgroundRecord | None = None

    @functools.cached_property
    def kept(self) -> Clip:
        """The sound that the classifier used: same rate, channels and length as the original."""
        if self.generated is not None:
            return self._clip(self.generated.kept.read(0, self.source.frames), "kept")
        blocks = render_blocks(self.source, self.mask, rendition=self.rendition)
        return self._clip(np.concatenate(list(blocks), axis=1), "kept")

    @functools.cached_property
    def removed(self) -> Clip:
        """The original minus the kept sound."""
        return self._clip(self.source.read(0, self.source.frames) - self.kept.samples, "removed")

    def _clip(self, samples: np.ndarray, part: str) -> Clip:
        return Clip(samples, self.source.sample_rate, f"{part} of {self.source.source}", self.source.notes)

    @functools.cached_property
    def heard(self) -> Scores:
        """Probabilities of original, kept and removed sound, from files as they are written and read back."""
        with temporary_folder() as folder:
            return self._score(write_sounds(self.source, self.kept_blocks(), Path(folder)))

    @functools.cached_property
    def exemplars(self) -> list[Exemplar]:
        """The sounds that this one was compared with, of methods that explain by similarity; else none."""
        name = self.request.method
        compare = registry.get("method", name).facts["exemplars"] if isinstance(name, str) else None
        if compare is None:
            return []
        self._ensure_same_weights()
        rate = self.classifier.sample_rate
        windows = [
            torch.from_numpy(classifier_input(self.source, s, rate)) for s in windows_of(self.source, self.classifier)
        ]
        with preserve_state(self.classifier):
            found: list[Exemplar] = compare(self.classifier, windows, self.target.index, **self.request.method_settings)
        return found

    @functools.cached_property
    def controls(self) -> dict[str, np.ndarray]:
        """Probabilities that the classifier gives to sounds that cannot hold the class; of a silent sound, none."""
        if self.silent:
            return {}
        self._ensure_same_weights()
        with preserve_state(self.classifier):
            return control_scores(self.source, self.classifier, self.request.seed)

    @functools.cached_property
    def silent(self) -> bool:
        """Whether the sound is silence (below -90 dB throughout)."""
        return all(is_silent(block) for _, block in blocks_of(self.source))

    @functools.cached_property
    def cancelled_db(self) -> float:
        """Level of the mean of the channels, which the classifier hears, relative to that of the channels, in dB; at most 0."""
        energies = np.zeros(2)
        for _, block in blocks_of(self.source) if self.source.channels > 1 else ():
            mean = downmix(block)
            energies += np.square(mean, dtype=np.float64).sum(), np.square(block, dtype=np.float64).sum() / len(block)
        if not energies[1] > 0:
            return 0.0
        return 10 * math.log10(energies[0] / energies[1]) if energies[0] > 0 else -math.inf

    @functools.cached_property
    def _sound_sha256(self) -> str:
        return self.source.digest()

    def metrics(self) -> dict[str, float]:
        """Every registered metric, by name; ``heard_*`` are those of the written sound. NaN where a metric is undefined."""
        return measure(self.scores, self.heard, self.mask.values, self.target.index)

    def verdict(self) -> Verdict:
        """How far to trust this, in words."""
        index = self.target.index
        is_top = int(np.argmax(self.scores.original)) == index
        # Of a yes-no question, the absence of the class is what sounds without it should get.
        absence = self.classifier.readout.binary and index == 0
        controls = {} if absence else {name: float(p[index]) for name, p in self.controls.items()}
        scores, heard = self.scores.of(index), self.heard.of(index)
        facts = self.attribution.facts
        found = judge(self.target.label, scores, heard, self.mask.size, self.silent, is_top, controls, facts)
        reasons = (*self.classifier.doubts, *(() if self.generated is None else self.generated.warnings))
        return found.doubted((*cancellation(self.cancelled_db), *reasons))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the sound on the way to the classifier."""
        rate, own = self.source.sample_rate, self.classifier.sample_rate
        notes = list(self.source.notes)
        if self.source.channels > 1:
            how = "all are masked alike" if self.generated is None else "each is reconstructed by itself"
            notes.append(f"heard by the classifier as the mean of {self.source.channels} channels; {how}")
        if rate != own:
            notes.append(f"resampled {rate} -> {own} Hz with soxr HQ for the classifier; sounds stay at {rate} Hz")
        if rate > own:
            notes.append(
                f"sound above {own / 2:g} Hz is out of the classifier's reach and was put into the removed part"
            )
        shortest = self.classifier.minimum_length / own
        if self.n_windows == 1 and self.source.duration < shortest:
            notes.append(
                f"padded with silence from {self.source.duration:.3g} s to {shortest:.3g} s for the classifier"
            )
        if self.n_windows > 1:
            first, second = windows_of(self.source, self.classifier)[:2]
            notes.append(
                f"too long to be heard at once: heard in {self.n_windows} windows of up to "
                f"{(first.stop - first.start) / rate:.3g} s with {(first.stop - second.start) / rate:.3g} s of overlap; scores are "
                "means over windows"
            )
        if self.generated is not None:
            notes += self.generated.notes
        if self.silent:
            notes.append("the sound is silent")
        return tuple(notes)

    def top(self, part: str = "original", k: int = 5) -> list[dict[str, Any]]:
        """The likeliest labels of a part as heard, as ``{"label", "score"}``."""
        p = getattr(self.heard, part)
        order = np.argsort(-p, kind="stable")[:k]
        return [{"label": self.classifier.labels[i], "score": float(p[i])} for i in order]

    def record(self) -> dict[str, Any]:
        """All of it as plain data: what was found, and what is needed to make it again."""
        verdict, index = self.verdict(), self.target.index
        return to_jsonable(
            {
                "format": FORMAT,
                "file": absolute(self.source.source),
                **self._inputs(),
                **self._choices(),
                "target": {"index": index, "label": self.target.label, "asked": self.request.target},
                "score": self.scores.of(index),
                "heard": self.heard.of(index),
                "top": {part: self.top(part) for part in PARTS},
                "metrics": self.metrics(),
                "controls": {name: float(p[index]) for name, p in self.controls.items()},
                **({"exemplars": [e.row() for e in self.exemplars]} if self.exemplars else {}),
                "verdict": dataclasses.asdict(verdict),
                "notes": list(self.notes),
                "environment": {
                    "seed": self.request.seed,
                    "batch_size": self.request.batch_size,
                    "device": str(self.classifier.device),
                    "threads": torch.get_num_threads(),
                    "versions": versions(),
                },
                "seconds": self.seconds,
            }
        )

    def _inputs(self) -> dict[str, Any]:
        """Sound and model."""
        source, model = self.source, self.classifier
        return {
            "audio": {
                "sha256": self._sound_sha256,
                "sample_rate": source.sample_rate,
                "channels": source.channels,
                "frames": source.frames,
                "seconds": source.duration,
            },
            "model": {
                "name": model.name,
                "origin": model.origin,
                "sha256": self.weights_sha256,
                "sample_rate": model.sample_rate,
                "classes": len(model.labels),
                "multilabel": model.multilabel,
                "info": model.info,
            },
        }

    def _choices(self) -> dict[str, Any]:
        """Method, domain and mask."""
        request = self.request
        return {
            "request": dict(request.spec),
            "method": {
                "name": request.spec["method"].split(",")[0],
                "settings": {
                    k: v if isinstance(v, int | float | str | None) else repr(v)
                    for k, v in request.method_settings.items()
                },
                **({} if self.background is None else {"background": self.background._asdict()}),
                **({"found": dict(self.attribution.facts)} if self.attribution.facts else {}),
            },
            "domain": {
                "name": request.domain.name,
                "settings": dict(request.domain.settings),
                "grid": list(self.mask.grid.shape),
                "axes": ["component", "segment (s)"] if self.mask.grid.rows else ["freq (Hz)", "frame (s)"],
                **({} if self.rendition is None else self.rendition.facts),
            },
            **({} if self.generated is None else {"generator": self.generated.facts}),
            "mask": self.mask.spec,
        }

    def save(self, folder: str | os.PathLike[str], report: bool = True) -> dict[str, str]:
        """Write sounds, attribution, record and report into a folder.

        Each file is written whole or not at all.

        Parameters
        ----------
        folder : path
            Folder of the files; it is made if needed.
        report : bool
            Whether to write ``report.html`` too.

        Returns
        -------
        dict
            Name of the part -> path.

        Raises
        ------
        WriteError
        """
        out = make_folder(folder)
        keep_the_original(self.source, out)
        had = set(self.__dict__)
        files = write_sounds(self.source, self.kept_blocks(), out)
        if "heard" not in self.__dict__:
            self.__dict__["heard"] = self._score(files)  # measured on these very files
        files |= write_exemplars(self.exemplars, out)
        files["attribution"] = out / "attribution.npz"
        write_arrays(self.attribution, self.mask, files["attribution"])
        files["record"] = out / "explanation.json"
        record = json.dumps(
            {**self.record(), "files": {k: v.name for k, v in files.items()}}, indent=1, allow_nan=False
        )
        write_text(files["record"], record + "\n")
        if report:
            files["report"] = out / "report.html"
            write_text(files["report"], self.to_html(linked=files))
        for sound in {"kept", "removed"} - had:  # rendered for the files alone: many explanations must not pile them up
            self.__dict__.pop(sound, None)
        return {name: str(path) for name, path in files.items()}

    def plot(self) -> Any:
        """A matplotlib figure: spectrograms of the three sounds and the mask. Needs matplotlib (extra ``plot``)."""
        return registry.get("view", "plot").target(self)

    def to_html(self, linked: dict[str, Path] | None = None) -> str:
        """The report as one page that works offline; very long sounds are linked to the given files instead of embedded."""
        return registry.get("view", "html").target(self, linked)

    def _repr_html_(self) -> str:
        return registry.get("view", "notebook").target(self)

    def __repr__(self) -> str:
        p = self.scores.of(self.target.index)
        return (
            f"Explanation({self.target.label!r} in {self.source.source}: original {p['original']:.3f}, "
            f"kept {p['kept']:.3f}, removed {p['removed']:.3f}; {self.request.spec['method']} on "
            f"{self.request.spec['domain']}, mask {self.mask.spec} of size {self.mask.size:.3f})"
        )

    def kept_blocks(self) -> Iterator[np.ndarray]:
        """The kept sound, block after block, ``(channel, time)``; the whole of it is not held in memory."""
        if "kept" in self.__dict__:
            return iter([self.kept.samples])
        if self.generated is not None:
            return (block for _, block in blocks_of(self.generated.kept))
        return render_blocks(self.source, self.mask, rendition=self.rendition)

    def _ensure_same_weights(self) -> None:
        if self.classifier.digest() != self.weights_sha256:
            raise OtoscopeError(
                f"the weights of {self.classifier.name!r} were changed after the explanation was made; explain again"
            )

    def _score(self, files: dict[str, Path]) -> Scores:
        self._ensure_same_weights()
        found = []
        with preserve_state(self.classifier):
            for part in PARTS:
                sound = open_audio(files[part])
                try:
                    found.append(score_sound(sound, self.classifier, self.request.batch_size))
                finally:
                    close_audio(sound)
        return Scores(*found)
