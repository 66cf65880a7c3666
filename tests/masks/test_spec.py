"""Mask specs: every one of the issue parses and prints back; bad ones say what is wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import NonFiniteError, OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.records import Attribution, Grid
from otoscope.core.registry import Entry, Parameter
from otoscope.masks import MaskSpec, parse_mask, to_mask
from otoscope.masks import functions as f

OF_THE_ISSUE = [
    "minmax", "sigmoid", "binary", "topk:0.05", "topk:0.3", "topk:0.5", "positive", "positive:sigmoid",
    "positive:threshold:0.25", "positive:threshold:0.5", "positive:threshold:0.75", "positive:topk:0.05",
    "positive:topk:0.3", "positive:topk:0.5", "energy:0.8",
]  # fmt: skip


def attribution(values, ms=50.0):
    values = np.asarray(values, np.float32)
    n_freq, n_time = values.shape
    grid = Grid(np.arange(n_freq) * 100.0, (np.arange(n_time) + 0.5) * ms / 1000, "hz", "stft", n_time * ms / 1000, 4e3)
    return Attribution(values, grid, "gradient")


@pytest.mark.parametrize("spec", OF_THE_ISSUE)
@pytest.mark.parametrize("more", ["", ",smooth_time=0.05", ",smooth_freq=2", ",smooth_time=0.05,smooth_freq=1.5"])
def test_every_spec_of_the_issue_parses_and_prints_back(spec, more):
    assert str(parse_mask(spec + more)) == spec + more
    mask = to_mask(attribution(np.random.default_rng(0).standard_normal((6, 9))), spec + more)
    assert mask.spec == spec + more
    assert 0 < mask.size < 1


@pytest.mark.parametrize("name", ["topk", "positive:topk", "positive:threshold", "energy"])
@given(value=st.floats(0, 1), smooth_time=st.floats(0, 10), smooth_freq=st.floats(0, 100))
@settings(max_examples=30, deadline=None)
def test_what_is_printed_parses_to_the_same(name, value, smooth_time, smooth_freq):
    """To the last digit: a record's spec must make the same mask again."""
    (setting,) = parse_mask(name).settings
    spec = MaskSpec(name, {setting: value}, smooth_time, smooth_freq)
    assert parse_mask(str(spec)) == spec


@pytest.mark.parametrize("name", ["topk:0.05", "positive:topk:0.5"])
@pytest.mark.parametrize("more", ["", ",smooth_time=0.05,smooth_freq=1.5"])
def test_ties_are_spelled_like_smoothing(name, more):
    spec = parse_mask(f"{name}{more},ties=quantile")
    assert spec.ties == "quantile"
    assert str(spec) == f"{name}{more},ties=quantile"
    assert parse_mask(str(spec)) == spec != parse_mask(name + more)
    assert parse_mask(f"{name},ties=quantile{more}") == spec
    assert str(parse_mask(f"{name}{more},ties=exact")) == name + more


@pytest.mark.parametrize("spec", ["minmax", "positive:threshold:0.5", "energy:0.8", "binary"])
def test_masks_without_ties_have_none_to_settle(spec):
    with pytest.raises(
        ParameterError, match=r"ties=quantile does not apply to the mask .*; it is for topk, positive:topk"
    ):
        parse_mask(f"{spec},ties=quantile")
    assert str(parse_mask(f"{spec},ties=exact")) == spec


@pytest.mark.parametrize("name", ["sigmoid", "positive:sigmoid"])
def test_the_published_sigmoid_is_an_option(name):
    spec = parse_mask(f"{name},scale=raw")
    assert str(spec) == f"{name},scale=raw"
    assert parse_mask(str(spec)) == spec != parse_mask(name)
    assert str(parse_mask(f"{name},scale=deviation")) == name
    with pytest.raises(
        ParameterError, match="scale=raw does not apply to the mask 'minmax'; it is for sigmoid, positive:s"
    ):
        parse_mask("minmax,scale=raw")


def test_a_value_left_out_is_the_default_and_is_printed():
    assert str(parse_mask("topk")) == "topk:0.3"
    assert str(parse_mask(" energy , smooth_time = 0.1 ")) == "energy:0.8,smooth_time=0.1"
    assert str(parse_mask("topk:.3,smooth_time=0")) == "topk:0.3"


def test_a_parsed_spec_passes():
    spec = parse_mask("topk:0.1")
    assert parse_mask(spec) is spec


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("", ParameterError, "a mask is written like 'topk:0.3'; got ''"),
        (None, ParameterError, "got None"),
        (0.3, ParameterError, "got 0.3"),
        ("topp:0.3", UnknownNameError, "unknown mask 'topp:0.3'; did you mean"),
        ("minmax:0.3", ParameterError, "mask 'minmax' takes no value; got '0.3'"),
        ("topk:0.3:0.4", ParameterError, "mask 'topk' takes keep; got '0.3:0.4'"),
        ("positive:0.5", ParameterError, "mask 'positive' takes no value"),
        ("topk:", ParameterError, "mask 'topk': keep must be a float; got ''"),
        ("topk:many", ParameterError, "keep must be a float; got 'many'"),
        ("topk:1.5", ParameterError, r"keep must lie in \[0, 1\]; got 1.5"),
        ("topk:-0.1", ParameterError, r"keep must lie in \[0, 1\]; got -0.1"),
        ("topk:nan", ParameterError, r"keep must lie in \[0, 1\]; got nan"),
        ("energy:2", ParameterError, r"share must lie in \[0, 1\]"),
        ("positive:threshold:2", ParameterError, r"threshold must lie in \[0, 1\]"),
        ("topk:0.3,smooth_tme=1", UnknownNameError, "unknown mask option 'smooth_tme'; did you mean 'smooth_time'"),
        ("topk:0.3,smooth_time", ParameterError, "mask option 'smooth_time' needs a value: smooth_time=0"),
        ("topk:0.3,smooth_time=-1", ParameterError, r"mask: smooth_time must lie in \[0, 10\]; got -1"),
        ("topk:0.3,smooth_freq=x", ParameterError, "mask: smooth_freq must be a float; got 'x'"),
        ("topk:0.3,ties", ParameterError, "mask option 'ties' needs a value: ties=exact"),
        ("topk:0.3,ties=quantil", UnknownNameError, "unknown mask ties 'quantil'; did you mean 'quantile'"),
        ("topk:0.3,", UnknownNameError, "unknown mask option ''"),
    ],
)  # fmt: skip
def test_bad_specs_say_what_is_wrong(spec, error, words):
    with pytest.raises(error, match=words) as caught:
        parse_mask(spec)
    assert isinstance(caught.value, OtoscopeError)


def test_a_third_partys_mask_may_have_settings_of_any_type(monkeypatch):
    from otoscope.core import registry

    parameters = (Parameter("way", str, "up", "h"), Parameter("n", int, 2, "h"))
    registry.discover()
    entry = Entry("mask", "theirs", lambda values, way, n: values * 0, "", parameters=parameters)
    monkeypatch.setitem(registry._entries, ("mask", "theirs"), entry)
    assert str(parse_mask("theirs:down:3")) == "theirs:down:3"


class TestToMask:
    def test_is_the_function_on_the_values(self):
        values = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
        made = to_mask(attribution(values), "topk:0.25")
        np.testing.assert_array_equal(made.values, f.topk(values, 0.25))
        assert made.values.dtype == np.float32
        assert made.grid.shape == (4, 5)
        assert made.spec == "topk:0.25"

    def test_ties_by_the_quantile_reach_the_mask(self):
        """Fewer cells positive than are kept: as published, everything is."""
        values = np.full((4, 5), -1.0)
        values[0] = np.arange(1, 6)
        exact, published = (to_mask(attribution(values), f"positive:topk:0.5{t}") for t in ("", ",ties=quantile"))
        assert exact.size == pytest.approx(0.25)
        assert published.size == 1.0
        assert published.spec == "positive:topk:0.5,ties=quantile"

    def test_smoothing_is_in_seconds_and_bands(self):
        values = np.zeros((21, 81))
        values[10, 40] = 1
        for ms, cells in ((10.0, 5.0), (25.0, 2.0)):
            made = to_mask(attribution(values, ms), "positive,smooth_time=0.05").values.astype(float)
            spread = np.sqrt((made[10] * (np.arange(81) - 40) ** 2).sum() / made[10].sum())
            assert spread == pytest.approx(cells, rel=0.02)
            assert not made[9].any()
        made = to_mask(attribution(values), "positive,smooth_freq=2").values.astype(float)
        assert np.sqrt((made[:, 40] * (np.arange(21) - 10) ** 2).sum() / made.sum()) == pytest.approx(2.0, rel=0.02)

    def test_one_frame_can_be_smoothed_in_time(self):
        assert to_mask(attribution([[1.0], [0.0]]), "positive,smooth_time=1").values.tolist() == [[1], [0]]

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_is_refused(self, bad):
        values = np.ones((2, 3))
        values[0, :2] = bad
        with pytest.raises(NonFiniteError, match="2 of 6 cells of the gradient attribution are NaN or infinite"):
            to_mask(attribution(values), "minmax")

    @pytest.mark.parametrize("scale", [1e-38, 1e-20, 1.0, 1e20, 1e38])
    @pytest.mark.parametrize("spec", OF_THE_ISSUE)
    def test_the_level_of_the_attribution_does_not_matter(self, spec, scale):
        """Attributions of a confident network are tiny; no epsilon may swallow them."""
        values = np.random.default_rng(0).standard_normal((6, 9))
        values /= np.abs(values).max()
        np.testing.assert_allclose(
            to_mask(attribution(values * scale), spec).values, to_mask(attribution(values), spec).values, atol=1e-6
        )
