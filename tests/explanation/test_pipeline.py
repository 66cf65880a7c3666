"""The one chain: every kind of explainer, one mask or many, one window or several, and what is heard of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.attribution import Result
from otoscope.core.errors import UnknownNameError
from otoscope.core.records import Clip, Mask
from otoscope.domains import make_domain
from otoscope.explanation import explainers
from otoscope.explanation.batch import ClipBatch
from otoscope.explanation.describe import LEVEL
from otoscope.explanation.explainers import AttributionExplainer, SoundExplainer, make_explainer
from otoscope.explanation.pipeline import ITSELF, Pipeline, run_pipeline
from otoscope.explanation.scoring import score_sound, score_sounds
from otoscope.masks import parse_mask
from worlds import RATE, band_energy, tone_and_decoy

MEL = make_domain("mel", {"bands": 16, "ms": 100.0})
MASKS = [parse_mask(spec) for spec in ("positive", "topk:0.3", "binary")]


def clip(seconds=1.0, rate=RATE, channels=1, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.01, (channels, round(seconds * rate)))
    return Clip(tone_and_decoy(seconds, rate)[None] + noise, rate)


class Upper:
    """Gives a mask that keeps what lies above 2 kHz."""

    name, gives = "upper", "mask"

    def explain(self, problem):
        above = torch.from_numpy((problem.inspected.grid.frequencies > 2000).astype(np.float32))
        return Result(above[None, :, None].expand(problem.batch, *problem.shape))


class Half:
    """Gives half of the sound."""

    warnings = ("It knows nothing.",)

    def blocks(self, source):
        for start in range(0, source.frames, 5000):
            yield source.read(start, min(start + 5000, source.frames)) / 2

    def notes(self, source):
        return ("halved",)

    def facts(self):
        return {"sha256": "0" * 64}


def pipeline(explainer, sounds, masks=MASKS, model=None, **more):
    clips = ClipBatch(sounds, band_energy() if model is None else model, **more)
    clips.choose_targets([None] * len(clips))
    return Pipeline(clips, explainer, MEL, masks)


def occlusion(model):
    return make_explainer("occlusion", {"patches_freq": 16, "patches_time": 5}, model)


def test_many_masks_are_each_what_one_mask_is():
    model, sounds = band_energy(), [clip(seed=i) for i in range(3)]
    together = run_pipeline(sounds, model, occlusion(model), MEL, MASKS, "tone", batch_size=2)
    for i, sound in enumerate(sounds):
        for m, spec in enumerate(MASKS):
            (alone,) = run_pipeline([sound], model, occlusion(model), MEL, [spec], "tone")
            assert alone.target == together[i].target
            np.testing.assert_allclose(alone.masks[0].values, together[i].masks[m].values, atol=1e-5)
            for part in ("original", "kept", "removed"):
                one, other = (getattr(r.scores[k], part) for r, k in ((alone, 0), (together[i], m)))
                np.testing.assert_allclose(one, other, atol=1e-5)


def test_what_is_scored_in_the_domain_is_what_is_heard():
    model = band_energy()
    made = pipeline(occlusion(model), [clip(), clip(seed=1)], model=model)
    for i in range(2):
        heard = made.heard(i)
        assert heard.kept.shape == heard.removed.shape == (3, 1, RATE)
        np.testing.assert_allclose(
            heard.kept + heard.removed, np.repeat(made.clips.sounds[i].samples[None], 3, 0), atol=1e-6
        )
        np.testing.assert_allclose(heard.p_kept, made.scores[i, :, 0], atol=1e-4)
        np.testing.assert_allclose(heard.p_removed, made.scores[i, :, 1], atol=1e-4)
        for m in range(3):
            again = score_sound(Clip(heard.kept[m], RATE), model)
            np.testing.assert_allclose(again, heard.p_kept[m], atol=1e-6)


def test_a_method_that_gives_the_mask_is_applied_as_it_is():
    made = pipeline(Upper(), [clip()])
    (result,) = made.results()
    assert [m.spec for m in result.masks] == [str(ITSELF)]
    assert set(np.unique(result.masks[0].values)) == {0.0, 1.0}
    labels = made.clips.classifier.labels
    assert labels[int(result.scores[0].kept.argmax())] == "decoy"  # at 3 kHz
    assert labels[int(result.scores[0].removed.argmax())] == "tone"  # at 1 kHz


@pytest.mark.parametrize("seconds", [1.0, 33.0])
def test_a_generated_sound_is_kept_scored_and_described(seconds):
    sound, model = clip(seconds), band_energy()
    (result,) = run_pipeline([sound], model, SoundExplainer(Half(), "half"), MEL, MASKS)
    assert [m.spec for m in result.masks] == [str(LEVEL)]
    np.testing.assert_allclose(result.masks[0].values, 0.5, atol=1e-3)
    np.testing.assert_allclose(result.attribution.values, 20 * np.log10(0.5), atol=1e-2)
    assert result.generated.warnings == ("It knows nothing.",)
    np.testing.assert_array_equal(result.generated.kept.read(0, sound.frames), sound.samples / 2)
    half = score_sound(Clip(sound.samples / 2, RATE), model)
    np.testing.assert_allclose(result.scores[0].kept, half, atol=1e-6)
    np.testing.assert_allclose(result.scores[0].removed, half, atol=1e-6)


def test_a_long_sound_is_explained_as_its_windows_are():
    """Of steady sound, every mask and score of the whole is that of a part."""
    model, steady = band_energy(), Clip(np.tile(tone_and_decoy(1.0), 40)[None], RATE)
    (long,) = run_pipeline([steady], model, occlusion(model), MEL, MASKS, "tone", batch_size=3)
    (short,) = run_pipeline([Clip(steady.samples[:, : 10 * RATE], RATE)], model, occlusion(model), MEL, MASKS, "tone")
    assert long.masks[0].grid.shape == (16, 400)
    for m in range(3):
        for part in ("original", "kept", "removed"):
            np.testing.assert_allclose(getattr(long.scores[m], part), getattr(short.scores[m], part), atol=2e-2)
    assert long.rendition is None


def test_other_masks_are_rendered_on_the_same_grid():
    made = pipeline(Upper(), [clip(channels=2)])
    grid = made.masks[0][0].grid
    ones = Mask(np.ones(grid.shape, np.float32), grid, "ones")
    kept = made.kept(0, [ones] * 20)  # more than are rendered together
    assert kept.shape == (20, 2, RATE)
    np.testing.assert_allclose(kept, np.repeat(made.clips.sounds[0].samples[None], 20, 0), atol=1e-5)
    heard = made.heard(0, [ones])
    mono = score_sounds(made.clips.sounds[0].samples.mean(0)[None], RATE, made.clips.classifier, 1)
    np.testing.assert_allclose(heard.p_kept, mono, atol=1e-5)


def test_passes_are_counted():
    model, passes = band_energy(), []
    run_pipeline([clip()] * 2, model, occlusion(model), MEL, MASKS, progress=passes.append)
    explaining = 16 * 5 + 1
    assert sum(passes) == 2 * (1 + explaining + 2 * len(MASKS))


def test_a_class_that_is_not_there_is_refused_before_anything_is_scored():
    model, passes = band_energy(), []
    with pytest.raises(UnknownNameError, match="tone"):
        run_pipeline([clip()], model, occlusion(model), MEL, MASKS, "tune", progress=passes.append)
    assert passes == []


def test_one_clip_of_a_batch_is_not_asked_again():
    clips = ClipBatch([clip(), clip(seed=1)], band_energy())
    clips.choose_targets(["tone", "decoy"])
    alone = clips.only(1)
    assert [t.label for t in alone.targets] == ["decoy"]
    np.testing.assert_array_equal(alone.original, clips.original[1:])
    assert alone.waveforms(alone.windows()[0]).data_ptr() == clips.waveforms(clips.windows()[0])[1:].data_ptr()


def test_a_precision_is_for_the_method_alone(monkeypatch):
    seen, real = [], explainers.attribute

    def watched(problem, *arguments):
        seen.append(problem.inspected.precision)
        return real(problem, *arguments)

    monkeypatch.setattr(explainers, "attribute", watched)
    made = pipeline(AttributionExplainer("energy", {}, "energy", "bfloat16"), [clip()])
    assert made.attributions[0].values.dtype == np.float32
    assert seen == [torch.bfloat16]
    assert made.inspected.precision is torch.float32
