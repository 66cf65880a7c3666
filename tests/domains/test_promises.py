"""What every registered domain promises: ones give the clip back, parts sum to the clip, silence stays silence."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otoscope.core import registry
from otoscope.core.errors import ParameterError, ShapeError, UnknownNameError
from otoscope.domains import make_domain

LENGTHS = [1, 7, 255, 513, 4001]
RATES = [8000, 16000, 32000]
DOMAINS = registry.names("domain")


def some_masks(shape, n=4, seed=0):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))


def clip_of(analysis, waveform):
    """What the classifier is fed with, untouched; and what stands for silence."""
    return (
        (waveform, 0.0)
        if analysis.feeds == "waveform"
        else (getattr(analysis, "inner", analysis).features, analysis.silence)
    )


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", DOMAINS)
class TestPromises:
    def test_ones_give_the_clip_back(self, name, n, rate, sounds, listener):
        x = sounds(n, rate)
        analysis = make_domain(name).analyse(x, listener(rate))
        whole, _ = clip_of(analysis, x)
        kept = analysis.synthesise(torch.ones(4, *analysis.grid.shape))
        assert kept.shape == whole.shape
        assert (kept - whole).abs().max() < 1e-5
        assert analysis.complement(kept).shape == whole.shape

    def test_parts_sum_to_the_clip(self, name, n, rate, sounds, listener):
        x = sounds(n, rate)
        analysis = make_domain(name).analyse(x, listener(rate))
        whole, silence = clip_of(analysis, x)
        mask = some_masks(analysis.grid.shape)
        kept, removed = analysis.synthesise(mask), analysis.synthesise(1 - mask)
        assert (kept + removed - silence - whole).abs().max() < 1e-5
        assert (analysis.complement(kept) - removed).abs().max() < 1e-5

    def test_silence_stays_silence(self, name, n, rate, sounds, listener):
        x = torch.zeros(2, n)
        analysis = make_domain(name).analyse(x, listener(rate))
        whole, silence = clip_of(analysis, x)
        out = analysis.synthesise(some_masks(analysis.grid.shape, 2))
        assert (out - silence).abs().max() <= (0 if analysis.feeds == "waveform" else 1e-6)
        assert (whole - silence).abs().max() <= 1e-6
        zeros = make_domain(name).analyse(sounds(n, rate), listener(rate))
        nothing = zeros.synthesise(torch.zeros(4, *zeros.grid.shape))
        assert (nothing - silence).abs().max() <= 1e-6

    def test_the_grid_covers_the_clip(self, name, n, rate, listener):
        grid = make_domain(name).grid(n, listener(rate))
        assert grid.domain == name
        assert grid.duration == pytest.approx(n / rate)
        assert grid.top_hz == rate / 2
        assert (np.diff(grid.times) > 0).all()
        assert (np.diff(grid.frequencies) > 0).all()
        assert grid.frequencies[0] >= 0
        assert grid.frequencies[-1] <= rate / 2
        step = np.diff(grid.times).max() if len(grid.times) > 1 else grid.duration
        assert 0 <= grid.times[0] <= step
        assert grid.times[-1] >= grid.duration - step


@pytest.mark.parametrize("name", DOMAINS)
class TestBatches:
    def test_analyse_lays_the_grid_it_promised(self, name, sounds, listener):
        domain = make_domain(name)
        promised, found = domain.grid(4001, listener(8000)), domain.analyse(sounds(4001, 8000), listener(8000)).grid
        np.testing.assert_array_equal(promised.times, found.times)
        np.testing.assert_array_equal(promised.frequencies, found.frequencies)
        assert (promised.scale, promised.duration, promised.top_hz) == (found.scale, found.duration, found.top_hz)

    def test_a_batch_equals_its_singles(self, name, sounds, listener):
        x = sounds(4001, 8000)
        together = make_domain(name).analyse(x, listener(8000))
        mask = some_masks(together.grid.shape)
        out, amplitude = together.synthesise(mask), together.amplitude()
        assert amplitude.shape == mask.shape
        assert (amplitude >= 0).all()
        for i in range(4):
            alone = make_domain(name).analyse(x[i : i + 1], listener(8000))
            assert torch.allclose(alone.synthesise(mask[i : i + 1]), out[i : i + 1], atol=1e-5)
            assert torch.allclose(alone.amplitude(), amplitude[i : i + 1], atol=1e-4)

    def test_an_index_says_which_clip_a_mask_is_for(self, name, sounds, listener):
        analysis = make_domain(name).analyse(sounds(513, 8000), listener(8000))
        mask = some_masks(analysis.grid.shape, 6)
        index = torch.tensor([3, 0, 0, 2, 1, 3])
        out = analysis.synthesise(mask, index)
        removed = analysis.complement(out, index)
        for row, clip in enumerate(index.tolist()):
            one = mask[row].expand(4, -1, -1)
            assert torch.allclose(out[row], analysis.synthesise(one)[clip], atol=1e-6)
            assert torch.allclose(removed[row], analysis.complement(analysis.synthesise(one))[clip], atol=1e-6)

    def test_many_masks_on_one_clip(self, name, sounds, listener):
        analysis = make_domain(name).analyse(sounds(513, 8000)[:1], listener(8000))
        mask = some_masks(analysis.grid.shape, 3)
        out = analysis.synthesise(mask)
        assert len(out) == 3
        assert torch.allclose(out, analysis.synthesise(mask, torch.zeros(3, dtype=torch.long)))

    def test_more_masks_than_clips_need_an_index(self, name, sounds, listener):
        analysis = make_domain(name).analyse(sounds(513, 8000), listener(8000))
        with pytest.raises(ShapeError, match="3 masks for 4 clips; give as many masks as clips, or an index"):
            analysis.synthesise(some_masks(analysis.grid.shape, 3))

    def test_a_mask_of_another_domain_is_refused_with_both_shapes(self, name, sounds, listener):
        analysis = make_domain(name).analyse(sounds(4001, 8000), listener(8000))
        freq, frame = analysis.grid.shape
        words = rf"mask has shape \(4, {freq + 1}, {frame}\) but the {name} grid needs \(batch, {freq}, {frame}\)"
        with pytest.raises(ShapeError, match=words):
            analysis.synthesise(torch.ones(4, freq + 1, frame))
        with pytest.raises(ShapeError, match=rf"mask has shape \({freq}, {frame}\)"):
            analysis.synthesise(torch.ones(freq, frame))

    def test_the_mask_gets_gradients_and_the_waveform_is_left_alone(self, name, sounds, listener):
        x = sounds(513, 8000)
        before = x.clone()
        analysis = make_domain(name).analyse(x, listener(8000))
        mask = some_masks(analysis.grid.shape).requires_grad_(True)
        analysis.synthesise(mask).square().sum().backward()
        assert mask.grad[0].abs().sum() > 0
        assert torch.equal(x, before)

    def test_amplitude_of_silence_is_zero(self, name, listener):
        assert make_domain(name).analyse(torch.zeros(1, 513), listener(8000)).amplitude().abs().max() < 1e-4


@pytest.mark.parametrize("name", DOMAINS)
@given(n=st.integers(1, 3000), seed=st.integers(0, 99), ms=st.floats(5, 500), bands=st.integers(1, 40), data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_promises_hold_at_any_length_and_resolution(name, listener, n, seed, ms, bands, data):
    parameters = {p.name: p for p in registry.get("domain", name).parameters}
    chosen = {"ms": ms, "bands": bands, "n": bands, "segments_s": max(ms / 1000, 0.032)}
    for key in {"source", "algorithm", "of"} & set(parameters):
        chosen[key] = data.draw(st.sampled_from([c for c in parameters[key].choices if c != "stems"]))
    domain = make_domain(name, {k: v for k, v in chosen.items() if k in parameters})
    x = torch.randn(1, n, generator=torch.Generator().manual_seed(seed)).clamp(-3, 3) / 3
    analysis = domain.analyse(x, listener(8000))
    whole, silence = clip_of(analysis, x)
    mask = some_masks(analysis.grid.shape, 1, seed)
    assert (analysis.synthesise(torch.ones_like(mask)) - whole).abs().max() < 1e-5
    assert (analysis.synthesise(mask) + analysis.synthesise(1 - mask) - silence - whole).abs().max() < 1e-5


@pytest.mark.parametrize("name", DOMAINS)
def test_settings_are_kept_and_checked(name):
    length = next(p.name for p in registry.get("domain", name).parameters if p.name in ("ms", "segments_s"))
    assert dict(make_domain(name, {length: "20"}).settings)[length] == 20.0
    assert make_domain(name).name == name
    domain = make_domain(name)
    assert make_domain(domain) is domain
    with pytest.raises(ParameterError, match=rf"domain '{name}': {length} must lie in .* got -1.0"):
        make_domain(name, {length: -1})
    with pytest.raises(UnknownNameError, match=f"parameter of domain '{name}' '{length}s'; did you mean '{length}'"):
        make_domain(name, {f"{length}s": 1})


def test_an_unknown_domain_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown domain 'stfft'; did you mean 'stft'"):
        make_domain("stfft")
