"""The one chain: clips -> evidence -> masks -> kept and removed sounds -> scores.

`explain`, studies, like-to-hear runs and replays all run it; nothing else renders or scores. A `ClipBatch` holds clips of one rate
and one length and the classifier's probabilities of them. A `Pipeline` takes such a batch, a domain, an explainer and any number
of masks, and gives a `PipelineResult` for each clip: the attribution, the masks as they are applied, and the scores of the kept
and the removed part under each mask. `Pipeline.heard` renders the sounds and scores them as a listener would hear them.

Each stage runs window by window. A clip that the classifier hears at once has one window, and its stages share one analysis;
a longer one has several, and values of neighbouring windows fade into one another on one grid over the whole clip.

Axes: masks ``(freq, frame)``; scores ``(class,)``, probabilities in [0, 1]; samples ``(channel, time)``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import cast

import numpy as np
import torch

from otoscope.attribution import Problem, as_attributions
from otoscope.audio import AudioSource, Span, downmix
from otoscope.classifiers import Classifier, Inspected
from otoscope.core.records import Attribution, Grid, Mask, Scores
from otoscope.domains import Domain, Rendition
from otoscope.explanation.batch import ClipBatch, HeardSounds, PipelineResult, WindowMeans
from otoscope.explanation.describe import LEVEL, describe
from otoscope.explanation.explainers import CellExplainer, Explainer, GeneratedSound, Progress, SoundExplainer, generate
from otoscope.explanation.scoring import classifier_input, score_sounds, score_waveforms
from otoscope.explanation.search import is_searched, search_masks
from otoscope.explanation.windows import Joined, Window, at_times, whole_grid
from otoscope.masks import MaskSpec, to_mask

AT_ONCE = 16  # masks that are rendered together
ITSELF = MaskSpec("itself", {})  # of an explainer that gives the mask


class Pipeline:
    """Clips, a domain and an explainer; each stage is computed once, when it is first needed.

    Parameters
    ----------
    clips : ClipBatch
        With its targets chosen.
    explainer : Explainer
        The method.
    domain : Domain
        In which the explanation lives.
    masks : sequence of MaskSpec
        Made from attributions; a method that gives masks or sounds has its own, and the first one alone counts.
    seed : int
        Seed of methods that draw random numbers.
    scored : Domain, optional
        Domain whose masking is scored, where it differs; its grid must be the same.
    """

    def __init__(
        self,
        clips: ClipBatch,
        explainer: Explainer,
        domain: Domain,
        masks: Sequence[MaskSpec],
        seed: int = 0,
        scored: Domain | None = None,
    ):
        self.clips, self.explainer, self.domain, self.seed = clips, explainer, domain, seed
        self.scored_domain = domain if scored is None else scored
        self.specs = tuple(masks)
        self.progress: Progress = clips.progress
        self._inspected: dict[str, Inspected] = {}

    # --- analyses -----------------------------------------------------------------------------------------------------

    def inspect(self, windows: Sequence[Window], domain: Domain) -> Inspected:
        """The classifier behind a domain with some windows; kept where all clips have one window."""
        key = "explained" if domain is self.domain else "scored"
        if key in self._inspected:
            return self._inspected[key]
        sounds = [self.clips.sounds[w.sound] for w in windows]
        made = Inspected(self.clips.classifier, domain.bind(sounds), self.clips.waveforms(windows))
        if self.clips.in_one_window:
            self._inspected[key] = made
        return made

    @property
    def inspected(self) -> Inspected:
        """Of clips in one window: the classifier behind the explained domain."""
        return self.inspect(self.clips.windows()[0], self.domain)

    @property
    def scored(self) -> Inspected:
        """Of clips in one window: the classifier behind the scored domain."""
        return self.inspect(self.clips.windows()[0], self.scored_domain)

    def problem(self, windows: Sequence[Window]) -> Problem:
        """The problem of some windows, for an explainer."""
        inspected = self.inspect(windows, self.domain)
        numbers = [self.clips.targets[w.sound].index for w in windows]
        targets = torch.tensor(numbers, device=inspected.waveform.device)
        return Problem(inspected, targets, self.seed, self.clips.batch_size, self.progress)

    def _whole_grids(self) -> list[Grid]:
        """The grid of the explained domain over each whole clip."""
        if self.clips.in_one_window:
            return [self.inspected.analysis.grid_of(i) for i in range(len(self.clips))]
        n = self.clips.waveforms(self.clips.windows()[0][:1]).shape[-1]
        first = self.domain.grid(n, self.clips.classifier)
        return [whole_grid(first, sound.duration) for sound in self.clips.sounds]

    def _joined(self, grids: Sequence[Grid]) -> list[Joined]:
        """Empty values over each whole clip."""
        return [Joined(g, s.sample_rate, self.clips.spans) for g, s in zip(grids, self.clips.sounds, strict=True)]

    # --- stages -------------------------------------------------------------------------------------------------------

    @cached_property
    def generated(self) -> list[GeneratedSound] | None:
        """The kept sound of each clip, of an explainer that gives it."""
        if not isinstance(self.explainer, SoundExplainer):
            return None
        generator = self.explainer.generator
        return [generate(generator, s, len(self.clips.spans), self.progress) for s in self.clips.sounds]

    @cached_property
    def attributions(self) -> list[Attribution]:
        """The attribution of each clip over its whole length."""
        return self._explained() if self.generated is None else self._descriptions[0]

    @cached_property
    def masks(self) -> list[list[Mask]]:
        """The masks of each clip as they are applied, ``[clip][mask]``."""
        return self._applied[0] if self.generated is None else self._descriptions[1]

    @cached_property
    def scores(self) -> np.ndarray:
        """Probabilities of the kept and the removed part of each clip under each mask, ``(clip, mask, part, class)``."""
        return self._applied[1] if self.generated is None else self._descriptions[2]

    def results(self) -> list[PipelineResult]:
        """All stages, clip by clip."""
        started = time.perf_counter()
        attributions, masks, scores = self.attributions, self.masks, self.scores
        seconds = (time.perf_counter() - started) / len(self.clips)
        return [
            PipelineResult(
                target=self.clips.targets[i],
                attribution=attributions[i],
                masks=tuple(masks[i]),
                scores=tuple(Scores(self.clips.original[i], *both) for both in scores[i]),
                rendition=self.rendition(i) if self.clips.in_one_window and self.generated is None else None,
                generated=None if self.generated is None else self.generated[i],
                seconds=seconds,
            )
            for i in range(len(self.clips))
        ]

    # --- evidence: a number for each cell -----------------------------------------------------------------------------

    def _explained(self) -> list[Attribution]:
        """Attributions of all windows, joined.

        Standard errors fade into one another as if those of neighbouring windows were wholly correlated, so they are never too
        small. Facts are means over windows.
        """
        explainer = cast(CellExplainer, self.explainer)
        grids = self._whole_grids()
        values, errors = self._joined(grids), self._joined(grids)
        known = [True] * len(self.clips)  # whether every window of a clip has standard errors
        facts: list[list[Mapping[str, float]]] = [[] for _ in self.clips.sounds]
        for windows in self.clips.windows():
            problem = self.problem(windows)
            own = [problem.inspected.analysis.grid_of(k) for k in range(problem.batch)]
            found = as_attributions(explainer.explain(problem), own, explainer.name)
            for (i, span), one in zip(windows, found, strict=True):
                values[i].add(span, one.values, one.grid.times)
                facts[i].append(one.facts)
                known[i] &= one.standard_error is not None
                if one.standard_error is not None:
                    errors[i].add(span, one.standard_error, one.grid.times)
        return [
            Attribution(v.values, v.grid, explainer.name, e.values if has else None, _means(rows))
            for v, e, has, rows in zip(values, errors, known, facts, strict=True)
        ]

    @cached_property
    def made_masks(self) -> list[list[Mask]]:
        """The masks of each clip as they are made from its attribution, ``[clip][mask]``, before they are applied and scored."""
        if self.explainer.gives == "mask":
            return [[Mask(a.values, a.grid, str(ITSELF))] for a in self.attributions]
        searched = [spec for spec in self.specs if is_searched(spec)]
        found = search_masks(self, searched) if searched else [{} for _ in self.attributions]
        made = zip(self.attributions, found, strict=True)
        return [[own.get(str(s)) or to_mask(a, s) for s in self.specs] for a, own in made]

    @cached_property
    def _applied(self) -> tuple[list[list[Mask]], np.ndarray]:
        return self.apply(self.made_masks)

    def apply(self, made: list[list[Mask]]) -> tuple[list[list[Mask]], np.ndarray]:
        """Masks of each clip, ``[clip][mask]``, as they are applied, and the scores under them ``(clip, mask, part, class)``.

        Each window gets its part of the masks over the whole clip.
        """
        n, changed = len(made[0]), False
        applied = [self._joined([m.grid for m in masks]) for masks in zip(*made, strict=True)]  # [mask][clip]
        means = WindowMeans(self.clips, n, 2)
        for windows in self.clips.windows():
            scored = self.inspect(windows, self.scored_domain)
            times = scored.grid.times
            cut = np.stack([_cut(m, w.span, times, self.clips) for w in windows for m in made[w.sound]])
            index = [k for k in range(len(windows)) for _ in range(n)]
            values = cut if self.explainer.gives == "mask" else self._pooled(scored, cut, index)
            changed |= not np.array_equal(values, cut)
            means.add(windows, self._masked_scores(scored, values, index).reshape(len(windows), n, 2, -1))
            for k, (i, span) in enumerate(windows):
                for m in range(n):
                    applied[m][i].add(span, values[k * n + m], times)
        if changed:  # cells belong together: what is rendered is what was scored
            made = [
                [replace(m, values=np.clip(applied[k][i].values, 0, 1)) for k, m in enumerate(masks)]
                for i, masks in enumerate(made)
            ]
        if self.clips.in_one_window:
            grids = [self.scored.analysis.grid_of(i) for i in range(len(made))]
            made = [[replace(m, grid=grid) for m in masks] for masks, grid in zip(made, grids, strict=True)]
        return made, means.values()

    def _pooled(self, scored: Inspected, values: np.ndarray, index: Sequence[int]) -> np.ndarray:
        """Values ``(mask, freq, frame)`` as the analysis applies them: where cells belong together, their mean."""
        device = scored.waveform.device
        with torch.no_grad():
            given = torch.from_numpy(values).to(device)
            pooled = scored.analysis.pool(given, torch.tensor(index, device=device))
        return pooled.clamp(0, 1).cpu().numpy()

    def _masked_scores(self, scored: Inspected, masks: np.ndarray, index: Sequence[int]) -> np.ndarray:
        """Probabilities ``(mask, part, class)`` of the kept and the removed part under masks, each of a clip by number."""
        size, found = self.clips.batch_size, []
        clips = torch.tensor(index, device=scored.waveform.device)
        for some, which in zip(torch.from_numpy(masks).split(size), clips.split(size), strict=True):
            with torch.no_grad():
                kept = scored.analysis.synthesise(some.to(clips.device), which)
                logits = [scored.classify(part) for part in (kept, scored.analysis.complement(kept, which))]
                found.append(torch.stack([self.clips.classifier.probabilities(x) for x in logits], 1).cpu().numpy())
            self.progress(2 * len(some))
        return np.concatenate(found)

    # --- evidence: a sound --------------------------------------------------------------------------------------------

    @cached_property
    def _descriptions(self) -> tuple[list[Attribution], list[list[Mask]], np.ndarray]:
        """How the cells of each generated sound differ from the original's, as attribution and mask; the scores of both parts."""
        rate, grids, generated = self.clips.classifier.sample_rate, self._whole_grids(), self.generated or []
        before, after, means = self._joined(grids), self._joined(grids), WindowMeans(self.clips, 2)
        for windows in self.clips.windows():
            original = self.clips.waveforms(windows)
            pieces = [classifier_input(generated[i].kept, span, rate) for i, span in windows]
            kept = torch.from_numpy(np.stack(pieces)).to(original.device)
            p = score_waveforms(torch.cat([kept, original - kept]), self.clips.classifier, self.clips.batch_size)
            means.add(windows, p.reshape(2, len(windows), -1).swapaxes(0, 1))
            first = self.inspect(windows, self.domain).analysis
            second = Inspected(self.clips.classifier, self.domain, kept).analysis
            levels = [a.amplitude().cpu().numpy() for a in (first, second)]
            for (i, span), b, a in zip(windows, *levels, strict=True):
                before[i].add(span, b, first.grid.times)
                after[i].add(span, a, first.grid.times)
            self.progress(2 * len(windows))
        attributions, masks = [], []
        for b, a in zip(before, after, strict=True):
            change, share = describe(b.values, a.values)
            attributions.append(Attribution(change, b.grid, self.explainer.name))
            masks.append([Mask(share, b.grid, str(LEVEL))])
        return attributions, masks, means.values()[:, None]

    # --- sounds -------------------------------------------------------------------------------------------------------

    def rendition(self, i: int) -> Rendition:
        """How masks on a clip in one window are rendered."""
        return self.scored.analysis.rendition(i)

    def kept(self, i: int, masks: Sequence[Mask] | None = None) -> np.ndarray:
        """The kept sounds of a clip in one window, ``(mask, channel, time)`` float32 at the clip's own rate.

        Parameters
        ----------
        i : int
            Number of the clip.
        masks : sequence of Mask, optional
            Any masks on the scored grid; by default those of the pipeline, or the generated sound.
        """
        sound = self.clips.sounds[i]
        if masks is None and self.generated is not None:
            return self.generated[i].kept.read(0, sound.frames)[None]
        values = np.stack([m.values for m in (self.masks[i] if masks is None else masks)])
        rendition = self.rendition(i)
        parts = [
            rendition.clips(sound, v, 0, sound.frames) for v in np.split(values, range(AT_ONCE, len(values), AT_ONCE))
        ]
        return np.concatenate(parts)

    def heard(self, i: int, masks: Sequence[Mask] | None = None) -> HeardSounds:
        """The sounds of a clip in one window as files would hold them, and their probabilities."""
        sound, kept = self.clips.sounds[i], self.kept(i, masks)
        removed = sound.read(0, sound.frames) - kept
        mono = np.stack([downmix(x) for x in (*kept, *removed)])
        p = score_sounds(mono, sound.sample_rate, self.clips.classifier, self.clips.batch_size)
        self.progress(len(mono))
        return HeardSounds(kept, removed, p[: len(kept)], p[len(kept) :])


def _cut(mask: Mask, span: Span, times: np.ndarray, clips: ClipBatch) -> np.ndarray:
    """The part of a mask over the whole clip that lies over one window, at that window's frames."""
    if clips.in_one_window:
        return mask.values
    return at_times(mask.values, mask.grid.times, times + span.start / clips.sounds[0].sample_rate)


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over windows; sizes, of what may cancel."""
    sizes = {"gap", "change"} if len(rows) > 1 else set()
    return {name: float(np.mean([abs(row[name]) if name in sizes else row[name] for row in rows])) for name in rows[0]}


def run_pipeline(
    sounds: Sequence[AudioSource],
    classifier: Classifier,
    explainer: Explainer,
    domain: Domain,
    masks: Sequence[MaskSpec],
    target: int | str | None = None,
    *,
    seed: int = 0,
    batch_size: int = 16,
    progress: Progress = lambda _n: None,
) -> list[PipelineResult]:
    """Explain clips of one rate and length under any number of masks.

    Parameters
    ----------
    sounds : sequence of AudioSource or Clip
        All of the same rate and length.
    classifier : Classifier
        The classifier that is explained.
    explainer : Explainer
        What `make_explainer` gives, or anything that follows its protocols.
    domain : Domain
        In which the explanation lives.
    masks : sequence of MaskSpec
        One mask is the special case. A method that gives masks or sounds has its own.
    target : int or str, optional
        The class that is explained; by default each clip's most probable one.
    seed : int
        Of methods that draw random numbers.
    batch_size : int
        Most clips, or masks of clips, in one pass.
    progress : callable
        Called with the number of passes done.

    Returns
    -------
    list of PipelineResult
        One for each clip.
    """
    clips = ClipBatch(sounds, classifier, batch_size, progress)
    clips.choose_targets([target] * len(clips))
    return Pipeline(clips, explainer, domain, masks, seed).results()
