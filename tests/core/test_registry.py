"""The registry: one list of everything, with facts; clashes, ranges, specs, plug-ins."""

import importlib.metadata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.registry import Entry, Parameter, add, format_spec, parse, register

COUNT = Parameter("count", int, 3, "how many", 1, 10)
SHARE = Parameter("share", float, 0.5, "how much", 0.0, 1.0)
FLAG = Parameter("flag", bool, True, "whether")
WAY = Parameter("way", str, "up", "where to", choices=("up", "down"))
LAYER = Parameter("layer", str, None, "which; None is the last")


def work():
    """Does the work. And more.

    Details.
    """


ENTRY = Entry("method", "worker", work, "Does it.", parameters=(COUNT, SHARE, FLAG, WAY, LAYER), facts={"signed": True})


@pytest.fixture
def empty(monkeypatch):
    """A registry without entries, that asks no plug-ins."""
    monkeypatch.setattr(registry, "_entries", {})
    monkeypatch.setattr(registry, "_discovered", True)


class TestParameter:
    @pytest.mark.parametrize(
        ("parameter", "given", "wanted"),
        [
            (COUNT, "7", 7), (COUNT, 7.0, 7), (COUNT, "1e1", 10), (COUNT, " 2 ", 2),
            (SHARE, "0.25", 0.25), (SHARE, 1, 1.0),
            (FLAG, "no", False), (FLAG, "FALSE", False), (FLAG, "0", False), (FLAG, "Yes", True), (FLAG, "1", True),
            (FLAG, "true", True), (FLAG, False, False), (WAY, "down", "down"), (LAYER, None, None), (LAYER, "conv", "conv"),
        ],
    )  # fmt: skip
    def test_values_come_in_their_type(self, parameter, given, wanted):
        value = parameter.check(given, "x")
        assert value == wanted
        assert type(value) is type(wanted)

    @pytest.mark.parametrize(
        ("parameter", "given", "words"),
        [
            (COUNT, "many", r"m: count must be a int; got 'many' \(how many\)"),
            (COUNT, 2.5, "count must be a int; got 2.5"),
            (COUNT, float("inf"), "count must be a int; got inf"),
            (COUNT, float("nan"), "count must be a int; got nan"),
            (COUNT, None, "count must be a int; got None"),
            (COUNT, [1], "count must be a int"),
            (COUNT, 0, r"count must lie in \[1, 10\]; got 0"),
            (COUNT, 11, r"count must lie in \[1, 10\]; got 11"),
            (SHARE, "", "share must be a float; got ''"),
            (SHARE, -1e-9, r"share must lie in \[0, 1\]"),
            (SHARE, float("nan"), r"share must lie in \[0, 1\]; got nan"),
            (FLAG, "maybe", "flag must be a bool; got 'maybe'"),
            (Parameter("low", float, 1.0, "h", low=0.5), 0.4, r"low must lie in \[0.5, inf\]"),
            (Parameter("high", float, 1.0, "h", high=2), 3, r"high must lie in \[-inf, 2\]"),
        ],
    )
    def test_bad_values_say_what_came_and_what_was_expected(self, parameter, given, words):
        with pytest.raises(ParameterError, match=words):
            parameter.check(given, "m")

    def test_a_wrong_choice_offers_the_nearest(self):
        with pytest.raises(UnknownNameError, match="unknown m way 'dwn'; did you mean 'down'"):
            WAY.check("dwn", "m")

    @given(st.integers(1, 10))
    @settings(max_examples=10, deadline=None)
    def test_whole_numbers_in_range_pass(self, n):
        assert COUNT.check(str(n), "x") == COUNT.check(float(n), "x") == n


class TestEntry:
    def test_settings_are_what_was_given_else_the_defaults(self):
        defaults = {"count": 3, "share": 0.5, "flag": True, "way": "up", "layer": None}
        assert ENTRY.settings(None) == ENTRY.settings({}) == defaults
        assert ENTRY.settings({"count": "4"}) == {**defaults, "count": 4}

    def test_an_unknown_setting_offers_the_nearest(self):
        with pytest.raises(UnknownNameError, match="parameter of method 'worker' 'cuont'; did you mean 'count'"):
            ENTRY.settings({"cuont": 1})

    def test_a_row_is_plain_data(self):
        import json

        row = Entry("method", "w", work, "s", "f", (COUNT, WAY), "key", {"signed": True, "passes": lambda: 1}).row()
        assert json.loads(json.dumps(row)) == row
        assert row["signed"] is True
        assert "passes" not in row
        assert row["parameters"]["count"] == {
            "type": "int", "default": 3, "range": [1, 10], "choices": None, "help": "how many",
        }  # fmt: skip
        assert row["parameters"]["way"]["range"] is None
        assert row["parameters"]["way"]["choices"] == ["up", "down"]


@pytest.mark.usefixtures("empty")
class TestNames:
    def test_register_reads_the_docstring_and_keeps_facts(self):
        with pytest.warns(DeprecationWarning, match=r"parameters= of method 'w' is deprecated; annotate the settings"):
            made = register("method", "w", family="f", parameters=(COUNT,), source="key", signed=False)(work)
        assert made is work
        entry = registry.get("method", "w")
        assert (entry.summary, entry.family, entry.source) == ("Does the work. And more.", "f", "key")
        assert entry.facts["signed"] is False
        assert entry.parameters == (COUNT,)

    def test_a_summary_can_be_given(self):
        register("method", "w", summary="Other.")(work)
        assert registry.get("method", "w").summary == "Other."

    def test_two_of_a_name_clash_and_both_are_named(self):
        add(Entry("mask", "m", work, ""))
        with pytest.raises(OtoscopeError, match=r"two masks are called 'm': .*work and .*TestNames; rename one"):
            add(Entry("mask", "m", TestNames, ""))
        assert registry.get("mask", "m").target is work

    def test_kinds_do_not_clash(self):
        add(Entry("mask", "m", work, ""))
        add(Entry("metric", "m", work, ""))
        assert registry.names("mask") == registry.names("metric") == ["m"]

    def test_entries_keep_their_order(self):
        for name in "cab":
            add(Entry("mask", name, work, ""))
        assert registry.names("mask") == ["c", "a", "b"]

    def test_an_unknown_name_offers_the_nearest(self):
        add(Entry("mask", "topk", work, ""))
        with pytest.raises(UnknownNameError, match="unknown mask 'topp'; did you mean 'topk'"):
            registry.get("mask", "topp")
        with pytest.raises(UnknownNameError, match="unknown metric 'topk'; none is registered"):
            registry.get("metric", "topk")


@pytest.mark.usefixtures("empty")
class TestSpecs:
    @given(
        st.fixed_dictionaries(
            {
                "count": st.integers(1, 10),
                "share": st.floats(0, 1),
                "flag": st.booleans(),
                "way": st.sampled_from(["up", "down"]),
                "layer": st.none() | st.from_regex(r"[a-z][a-z0-9_.=]{0,8}", fullmatch=True),
            }
        )
    )
    @settings(max_examples=50, deadline=None)
    def test_spell_and_parse_are_inverses(self, values):
        registry._entries[("method", "worker")] = ENTRY
        entry, found = parse("method", format_spec(ENTRY, values))
        assert entry is ENTRY
        assert found == values

    def test_only_what_differs_is_spec(self):
        assert format_spec(ENTRY, ENTRY.settings(None)) == "worker"
        assert format_spec(ENTRY, ENTRY.settings({"flag": "no", "count": 5})) == "worker,count=5,flag=False"

    def test_spaces_do_not_matter(self):
        add(ENTRY)
        assert parse("method", "  worker , count = 4 ")[1]["count"] == 4

    @pytest.mark.parametrize("spec", ["", "  ", None, 3])
    def test_nothing_is_no_spec(self, spec):
        with pytest.raises(ParameterError, match="a method is written NAME or NAME,setting=value; got"):
            parse("method", spec)

    def test_a_setting_without_value(self):
        add(ENTRY)
        with pytest.raises(ParameterError, match="written key=value; got 'count' in 'worker,count'"):
            parse("method", "worker,count")
        with pytest.raises(ParameterError, match="count must be a int; got ''"):
            parse("method", "worker,count=")
        with pytest.raises(ParameterError, match="count is given twice in 'worker,count=1, count = 2'"):
            parse("method", "worker,count=1, count = 2")
        with pytest.raises(ParameterError, match=r"count must lie in \[1, 10\]; got 11"):
            parse("method", "worker,count=11")
        with pytest.raises(UnknownNameError, match="unknown method 'workr'; did you mean 'worker'"):
            parse("method", "workr,count=1")


class Point:
    """An entry point that counts how often it is loaded."""

    value = "somebody.plugin"

    def __init__(self, name, error=None):
        self.name, self.error, self.loads = name, error, 0

    def load(self):
        self.loads += 1
        if self.error:
            raise self.error


class TestDiscover:
    @pytest.fixture
    def plug(self, monkeypatch):
        monkeypatch.setattr(registry, "_entries", {})
        monkeypatch.setattr(registry, "_discovered", False)
        monkeypatch.setattr(registry, "_failure", None)

        def points(*found):
            def entry_points(group):
                assert group == "otoscope.plugins"
                return found

            monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)

        return points

    def test_each_plug_in_is_loaded_once(self, plug):
        a, b = Point("a"), Point("b")
        plug(b, a)
        registry.discover()
        registry.names("method")
        assert (a.loads, b.loads) == (1, 1)

    def test_one_that_cannot_be_loaded_is_named_every_time(self, plug):
        plug(Point("bad", AttributeError("no such thing")), Point("worse", ImportError("gone")))
        words = (
            r"the plug-in 'bad' \(somebody\.plugin\) cannot be loaded: AttributeError: no such thing; "
            "fix or uninstall the package that provides it"
        )
        for _ in range(2):  # the second time must not go on quietly with half a registry
            with pytest.raises(OtoscopeError, match=words):
                registry.names("method")

    def test_our_own_error_passes(self, plug):
        plug(Point("clash", OtoscopeError("two masks are called 'm'")))
        with pytest.raises(OtoscopeError, match=r"^two masks are called 'm'$"):
            registry.discover()

    def test_an_interrupt_is_not_taken_for_a_bad_plug_in(self, plug):
        slow = Point("slow", KeyboardInterrupt())
        plug(slow)
        with pytest.raises(KeyboardInterrupt):
            registry.discover()
        slow.error = None
        registry.discover()
        assert slow.loads == 2

    def test_our_own_rooms_are_plug_ins(self):
        kinds = {kind: set(registry.names(kind)) for kind in ("domain", "mask", "metric", "method", "classifier")}
        assert kinds["domain"] >= {"stft", "mel", "time", "features"}
        assert kinds["mask"] >= {"minmax", "sigmoid", "binary", "topk", "positive", "energy", "positive:topk"}
        assert len(kinds["metric"]) >= 8
        assert kinds["method"] >= {"gradient", "integrated_gradients", "grad_cam", "occlusion", "rise"}
        assert "esc10-mn" in kinds["classifier"]
