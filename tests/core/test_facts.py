"""Facts of registered things: typed, checked, listed."""

from __future__ import annotations

import pytest

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.core.facts import MethodFacts, make_facts


class TestFacts:
    def test_an_unknown_fact_offers_the_nearest(self):
        with pytest.raises(UnknownNameError, match="unknown fact of method 'w' 'singed'; did you mean 'signed'"):
            make_facts("method", "w", {"singed": True})

    def test_a_fact_of_another_type_is_refused(self):
        with pytest.raises(ParameterError, match="metric 'w': the fact higher_is_better must be bool; got 'yes'"):
            make_facts("metric", "w", {"higher_is_better": "yes"})
        assert make_facts("metric", "w", {"low": None, "high": 1})["high"] == 1

    @pytest.mark.parametrize(
        ("kind", "given", "words"),
        [
            ("method", {"needs": ("gradient",)}, "method 'w': unknown need of a method 'gradient'; did you mean 'gradients'"),
            ("method", {"gives": "sounds"}, "did you mean 'sound'"),
            ("metric", {"of": "score"}, "metric 'w': unknown kind of metric 'score'; did you mean 'scores'"),
        ],
    )  # fmt: skip
    def test_unknown_words_offer_the_nearest(self, kind, given, words):
        with pytest.raises(UnknownNameError, match=words):
            make_facts(kind, "w", given)

    def test_needs_may_be_text(self):
        facts = make_facts("method", "w", {"needs": "gradients and a convolutional layer"})
        assert facts["needs"] == ("gradients", "a convolutional layer")
        assert facts.needs_text == "gradients and a convolutional layer"
        with pytest.raises(AttributeError):
            facts.needs = ()

    def test_a_list_of_domains_works_one_version_more(self):
        domain = make_facts("domain", "d", {})
        with pytest.warns(
            DeprecationWarning, match="domains= of a method is deprecated; declare what it needs of a domain"
        ):
            facts = make_facts("method", "w", {"domains": "stft, mel"})
        assert isinstance(facts, MethodFacts)
        assert [facts.fits(name, domain) for name in ("stft", "mel", "time")] == [True, True, False]

    def test_only_facts_that_were_given_are_listed_where_they_are_optional(self):
        assert "blind" not in make_facts("method", "w", {})
        assert list(make_facts("mask", "w", {"monotone": False})) == ["monotone", "binary"]

    def test_other_kinds_have_any_facts(self):
        assert make_facts("view", "w", {"anything": 1}) == {"anything": 1}
