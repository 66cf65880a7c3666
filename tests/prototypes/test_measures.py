"""Numbers of prototypes whose values are known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.metrics import bootstrap
from otoscope.prototypes import (
    Measure,
    agreement,
    coverage,
    fit_prototypes,
    heard_deletion,
    heard_purity,
    vote_accuracy,
)
from tone_worlds import tones_classifier


@pytest.fixture(scope="module")
def fitted(known):
    classifier, _, clips = known
    return fit_prototypes(classifier, clips, per_class=2, window_s=0.3)


def test_a_mean_leaves_out_what_is_undefined():
    some = Measure("any", np.array([1.0, 0.0, np.nan]), "clips")
    assert some.value == 0.5
    assert len(some.known) == 2
    assert math.isnan(Measure("none", np.array([np.nan]), "clips").value)
    found = bootstrap(some.values)
    assert float(found.value) == 0.5


def test_agreement_and_coverage(known, fitted):
    _, _, clips = known
    assert agreement(fitted, clips).value == coverage(fitted, clips).value == 1
    fewer = fitted.without(["p1", "p2"])
    assert agreement(fewer, clips).values.tolist() == coverage(fewer, clips).values.tolist() == [0] * 4 + [1] * 8


def test_agreement_with_the_most_probable_classes(known, fitted):
    """Of a clip of two tones the louder is decided; prototypes of the other alone agree with the second best."""
    _, _, clips = known
    only = fitted.without([p.id for p in fitted.prototypes if p.label != 2])
    mixed = [dataclasses.replace(c, probabilities=torch.tensor([0.5, 0.1, 0.4])) for c in clips]
    assert agreement(only, mixed).value == 0
    assert agreement(only, mixed, top=2).value == agreement(only, mixed, top=9).value == 1
    low = fitted.without([p.id for p in fitted.prototypes if p.label != 1])
    assert agreement(low, mixed, top=2).value == 0
    with pytest.raises(ParameterError, match=r"top must be a whole number of at least 1; got 0"):
        agreement(only, mixed, top=0)


def test_accuracy_of_the_vote_and_of_the_classifier(known, fitted):
    """Labels that are wrong lower both alike; a deleted class lowers the vote alone."""
    classifier, data, clips = known
    assert [m.value for m in vote_accuracy(fitted, classifier, data, clips)] == [1, 1]
    wrong = [dataclasses.replace(c, example=dataclasses.replace(c.example, index=0)) for c in clips]
    assert [m.value for m in vote_accuracy(fitted, classifier, data, wrong)] == pytest.approx([1 / 3, 1 / 3])
    fewer = fitted.without(["p1", "p2"])
    assert [m.value for m in vote_accuracy(fewer, classifier, data, clips)] == pytest.approx([2 / 3, 1])


def test_purity_is_of_the_written_sounds(known, fitted):
    classifier, _, clips = known
    assert heard_purity(fitted, classifier).values.tolist() == [1] * 6
    first = fitted.prototypes[0]
    other = dataclasses.replace(first, sound=fitted.prototypes[2].sound)
    mixed = dataclasses.replace(fitted, prototypes=(other, *fitted.prototypes[1:]))
    assert heard_purity(mixed, classifier).values.tolist() == [0] + [1] * 5
    centres = fit_prototypes(classifier, clips, per_class=1, window_s=0.3, method="kmeans")
    assert np.isnan(heard_purity(centres, classifier).values).all()


def test_removing_the_part_that_matched_drops_the_score(known, fitted):
    classifier, _, clips = known
    done = []
    matched = heard_deletion(fitted, classifier, clips, progress=done.append)
    random = heard_deletion(fitted, classifier, clips, "random", seed=1)
    loudest = heard_deletion(fitted, classifier, clips, "loudest")
    assert done == list(range(1, 13))
    assert matched.values.min() > 0.4  # from 0.96 to a third, all but
    assert random.value < matched.value - 0.1
    np.testing.assert_allclose(loudest.value, matched.value, atol=0.1)
    assert np.array_equal(random.values, heard_deletion(fitted, classifier, clips, "random", seed=1).values)
    assert not np.array_equal(random.values, heard_deletion(fitted, classifier, clips, "random", seed=2).values)


def test_deletion_of_a_band_spares_the_others(known):
    classifier, _, clips = known
    bands = fit_prototypes(classifier, clips, per_class=1, window_s=0.3, parts="both")
    matched = heard_deletion(bands, classifier, clips)
    assert matched.values.min() > 0.4
    assert heard_deletion(bands, classifier, clips, "random").value < 0.2
    whole = fit_prototypes(classifier, clips, per_class=1, parts="frequency")
    assert heard_deletion(whole, classifier, clips).value > 0.5


def test_deletion_is_undefined_for_a_class_without_prototypes(known, fitted):
    classifier, _, clips = known
    values = heard_deletion(fitted.without(["p1", "p2"]), classifier, clips).values
    assert np.isnan(values).tolist() == [True] * 4 + [False] * 8


def test_what_is_refused(known, fitted):
    classifier, _, clips = known
    other = tones_classifier()
    with torch.no_grad():
        other.network.gain += 1
    with pytest.raises(ParameterError, match=r"of another classifier"):
        heard_purity(fitted, other)
    with pytest.raises(ParameterError, match=r"of another classifier"):
        heard_deletion(fitted, other, clips)
    with pytest.raises(UnknownNameError, match=r"unknown part to remove 'matchd'; did you mean 'matched'"):
        heard_deletion(fitted, classifier, clips, "matchd")
    with pytest.raises(ParameterError, match=r"sounds are removed from files: give clips of a data set"):
        heard_deletion(fitted, classifier, [dataclasses.replace(clips[0], example=None)])
