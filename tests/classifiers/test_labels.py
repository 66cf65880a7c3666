"""Classes of a data set and of a classifier, matched by name."""

from __future__ import annotations

import pytest

from otoscope.classifiers.labels import class_numbers
from otoscope.core.errors import ParameterError
from training.autoencoder_worlds import ear


def test_capitals_spaces_and_underscores_do_not_count():
    assert class_numbers(["Sea  waves", "dog"], ear(("dog", "sea_waves"))) == [1, 0]


def test_a_class_that_is_not_known_is_named_unless_it_may_be_missing():
    classifier = ear(("dog", "cat"))
    assert class_numbers(["dog", "owl"], classifier, optional=True) == []
    with pytest.raises(ParameterError, match="has no class 'owl' of the data set"):
        class_numbers(["dog", "owl"], classifier)
