"""Deletion and insertion curves against slow twins, on worlds with known answers, with their passes counted."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import otoscope
import worlds
from otoscope.classifiers import Inspected
from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError
from otoscope.domains import make_domain
from otoscope.metrics import curve_passes, curves
from otoscope.metrics.curves import deletion_auc, insertion_auc, top_name
from reference import metrics as slow


class Head(nn.Module):
    """Batch norm in training mode would show a model that is not left alone."""

    def __init__(self, classes):
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(16), nn.Linear(16, classes)

    def forward(self, waveform):
        return self.out(self.norm(waveform.unflatten(1, (16, -1)).square().mean(-1).sqrt() * 5))


def inspected(clips=2, classes=3, multilabel=False, cells=16, seed=0):
    """A classifier of 16 stretches of time, behind a domain whose cells are these."""
    torch.manual_seed(seed)
    labels = [f"c{i}" for i in range(classes)]
    classifier = otoscope.wrap(
        Head(classes), sample_rate=1600, labels=labels, multilabel=multilabel, name="head"
    ).eval()
    wave = torch.randn(clips, 1600)
    return Inspected(classifier, make_domain("time", {"ms": 1000 / cells}), wave)


def score(box, clip, target, kind):
    """What a mask as nested lists scores, in float64 by hand."""

    def of(mask):
        with torch.no_grad():
            logits = box(torch.tensor([mask]).float(), torch.tensor([clip]))[0].double().tolist()
        if box.classifier.multilabel:
            p = 1 / (1 + math.exp(-logits[target]))
        else:
            p = math.exp(logits[target]) / sum(map(math.exp, logits))
        return p if kind == "probability" else math.log(p / (1 - p))

    return of


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("steps", [1, 4, 7, 40])
def test_equal_their_twins(multilabel, steps):
    box = inspected(multilabel=multilabel)
    values = np.round(np.random.default_rng(0).normal(size=(2, 1, 16)), 1)
    values[0, 0, 3:7] = 0.5  # ties
    found = curves(box, values, [2, 0], steps, (), batch_size=5)
    fewer = min(steps, 16)
    for clip, target in ((0, 2), (1, 0)):
        for kind, gone, come in (
            ("probability", found.deletion, found.insertion),
            ("log_odds", found.deletion_log_odds, found.insertion_log_odds),
        ):
            of = score(box, clip, target, kind)
            np.testing.assert_allclose(gone[clip], slow.deletion(of, values[clip].tolist(), fewer), atol=1e-5)
            np.testing.assert_allclose(come[clip], slow.insertion(of, values[clip].tolist(), fewer), atol=1e-5)
    areas = found.measures()[1]
    assert areas["deletion_auc"] == pytest.approx(slow.trapezoid(found.shares, found.deletion[1]))
    assert areas["insertion_auc"] == pytest.approx(slow.trapezoid(found.shares, found.insertion[1]))
    assert found.measures("log_odds")[1]["deletion_auc"] == deletion_auc(found.shares, found.deletion_log_odds[1])


@pytest.mark.parametrize(
    ("steps", "tops"), [(4, ()), (20, (0.1, 0.2)), (3, (0.3, 0.01)), (0, (0.25,)), (100, (0.5,)), (1, ())]
)
@pytest.mark.parametrize("cells", [1, 5, 16])
def test_passes_are_known_beforehand(steps, tops, cells):
    box = inspected(cells=cells)
    seen = []
    before = box.passes
    curves(box, np.random.default_rng(0).normal(size=(2, 1, cells)), [0, 1], steps, tops, 3, seen.append)
    wanted = 2 * curve_passes(cells, steps, tops)
    assert box.passes - before == sum(seen) == wanted
    assert max(seen) <= 3
    assert curve_passes(16, 4, ()) == 5 + 3  # the ends of both curves are the same two masks
    assert curve_passes(16, 4, (0.25, 0.5)) == 5 + 3  # what a curve has scored is not scored again
    assert curve_passes(16, 0, (0.25,)) == 2
    assert curve_passes(5, 0, (0.01, 0.1, 0.2)) == 2  # all of them are one cell
    assert curve_passes(1, 4, (0.1,)) == 2


def test_top_shares_by_hand():
    box = inspected()
    values = np.random.default_rng(1).normal(size=(2, 1, 16))
    found = curves(box, values, [1, 1], 0, (0.25, 0.5)).measures()
    for clip in (0, 1):
        order = np.argsort(-values[clip, 0])
        for share, n in ((0.25, 4), (0.5, 8)):
            mask = np.ones((1, 16))
            mask[0, order[:n]] = 0
            for kind, column in (("probability", "_probability"), ("log_odds", "")):
                of = score(box, clip, 1, kind)
                wanted = of(np.ones((1, 16)).tolist()) - of(mask.tolist())
                assert found[clip][top_name(share) + column] == pytest.approx(wanted, abs=1e-5)
        assert set(found[clip]) == {"ff_top_25", "ff_top_25_probability", "ff_top_50", "ff_top_50_probability"}


@pytest.mark.parametrize("cells", [1, 2, 4, 5])
def test_the_top_of_few_cells_is_one_of_them(cells):
    box = inspected(cells=cells)
    values = np.random.default_rng(1).normal(size=(2, 1, cells))
    found = curves(box, values, [1, 1], 0, (0.1,)).measures()
    for clip in (0, 1):
        mask = np.ones((1, cells))
        mask[0, values[clip, 0].argmax()] = 0
        of = score(box, clip, 1, "log_odds")
        assert found[clip]["ff_top_10"] == pytest.approx(of(np.ones((1, cells)).tolist()) - of(mask.tolist()), abs=1e-5)
        assert found[clip]["ff_top_10"] != 0.0


def test_a_batch_gives_what_single_clips_give():
    both = inspected(clips=3)
    values = np.random.default_rng(2).normal(size=(3, 1, 16))
    together = curves(both, values, [0, 1, 2], 5, (0.1,), 4)
    for i in range(3):
        alone = Inspected(both.classifier, make_domain("time", {"ms": 1000 / 16}), both.waveform[i : i + 1])
        single = curves(alone, values[i : i + 1], [i], 5, (0.1,))
        np.testing.assert_allclose(single.deletion[0], together.deletion[i], atol=1e-6)
        np.testing.assert_allclose(single.insertion[0], together.insertion[i], atol=1e-6)
        assert single.measures()[0] == pytest.approx(together.measures()[i], abs=1e-5)


@given(st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_inserting_is_deleting_the_other_way_round(seed):
    """Keeping the top cells of an attribution is removing the others: the top ones of its negative."""
    box = inspected(clips=1)
    values = np.random.default_rng(seed).normal(size=(1, 1, 16))
    one, other = curves(box, values, [0], 8, ()), curves(box, -values, [0], 8, ())
    np.testing.assert_allclose(one.insertion[0], other.deletion[0][::-1], atol=1e-6)
    np.testing.assert_allclose(one.insertion_log_odds[0], other.deletion_log_odds[0][::-1], atol=1e-5)


def test_knowing_the_tone_beats_not_knowing_it():
    """Cells of the tone first: its class goes at once, and comes at once."""
    classifier = worlds.band_energy().eval()
    box = Inspected(
        classifier, make_domain("stft", {"bands": 16, "ms": 100.0}), torch.from_numpy(worlds.tone_and_decoy())[None]
    )
    hz = box.grid.frequencies
    knows = np.repeat(((hz > 800) & (hz < 1200))[:, None], box.grid.shape[1], 1).astype(float)[None]
    right, wrong = (curves(box, v, [0], 10, (0.2,)).measures()[0] for v in (knows, -knows))
    assert right["deletion_auc"] < 0.1 < 0.6 < wrong["deletion_auc"]
    assert right["insertion_auc"] > 0.8 > 0.3 > wrong["insertion_auc"]
    assert right["ff_top_20"] > 3 > abs(wrong["ff_top_20"])
    assert right["ff_top_20_probability"] > 0.5


def test_log_odds_do_not_saturate():
    """Where a probability is 0 to all digits, its log-odds still fall."""
    box = inspected(clips=1)
    box.classifier.network.out.weight.data *= 2000
    found = curves(box, np.random.default_rng(0).normal(size=(1, 1, 16)), [0], 16, ())
    assert len(np.unique(found.deletion)) < 4
    assert np.isfinite(found.deletion_log_odds).all()
    assert len(np.unique(found.deletion_log_odds)) == 17


def test_the_classifier_is_left_as_it_was():
    box = inspected()
    box.classifier.train()
    before = {k: v.clone() for k, v in box.classifier.state_dict().items()}
    curves(box, np.zeros((2, 1, 16)), [0, 1], 2)
    assert box.classifier.training
    assert all(torch.equal(before[k], v) for k, v in box.classifier.state_dict().items())
    assert all(p.requires_grad for p in box.classifier.parameters())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"values": np.zeros((2, 16))},
            ShapeError,
            r"shape \(2, 16\), but the clips and their time grid require \(2, 1, 16\)",
        ),
        ({"values": np.full((2, 1, 16), np.nan)}, NonFiniteError, "cells have no order"),
        ({"targets": [0]}, ShapeError, "2 clips need as many integer targets"),
        ({"targets": [0.0, 1.0]}, ShapeError, "integer targets"),
        ({"targets": [0, 3]}, ParameterError, r"class numbers from 0 to 2; got \[0, 3\]"),
        ({"targets": [-1, 0]}, ParameterError, "class numbers from 0 to 2"),
        ({"steps": -1}, ParameterError, "steps must be a whole number from 0 to 10000; got -1"),
        ({"steps": 2.5}, ParameterError, "steps must be"),
        ({"steps": 0, "tops": ()}, ParameterError, "steps is 0 and tops is empty"),
        ({"tops": (0.0,)}, ParameterError, "between 0 and 1; got 0.0"),
        ({"tops": (1.0,)}, ParameterError, "between 0 and 1; got 1.0"),
        ({"batch_size": 0}, ParameterError, "batch_size must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_input(change, error, words):
    given = {"values": np.zeros((2, 1, 16)), "targets": [0, 1], "steps": 2, "tops": (0.1,)} | change
    with pytest.raises(error, match=words):
        curves(inspected(), **given)


def test_areas():
    assert deletion_auc(np.array([0, 0.5, 1]), np.array([1.0, 0.5, 0.0])) == pytest.approx(0.5)
    assert insertion_auc(np.array([0, 0.2, 1]), np.array([0.0, 1.0, 1.0])) == pytest.approx(0.9)
    assert math.isnan(deletion_auc(np.array([0, 1]), np.array([1, np.nan])))
    with pytest.raises(ShapeError, match="two or more points"):
        deletion_auc(np.array([0.0]), np.array([1.0]))
    with pytest.raises(ParameterError, match="must rise"):
        insertion_auc(np.array([0.0, 0.0]), np.array([1.0, 1.0]))
    with pytest.raises(ParameterError, match="curves are of probability or log_odds; got 'logit'"):
        curves(inspected(), np.zeros((2, 1, 16)), [0, 1], 2).measures("logit")


@pytest.mark.parametrize(
    ("share", "name"), [(0.1, "ff_top_10"), (0.2, "ff_top_20"), (0.025, "ff_top_2_5"), (0.29, "ff_top_29")]
)
def test_names_of_columns(share, name):
    assert top_name(share) == name
