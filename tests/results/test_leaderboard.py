"""The table: means of the right clips, masks chosen on the others, order, panels, failures, selection."""

import json

import numpy as np
import pytest

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.results import LeaderboardOptions as Options
from otoscope.results import make_leaderboard
from otoscope.results.leaderboard import CLIPS_OF_FAILURE, list_failures
from otoscope.results.metrics import SEVEN
from otoscope.results.select import geometric_score
from result_rows import MASKS, METHODS, fail, make_rows

ONE = {"conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}


def mean_of(rows, metric, clips=None, **words):
    mine = [row for row in rows if all(row[k] == v for k, v in words.items()) and row["status"] == "ok"]
    return np.mean([row[metric] for row in mine if clips is None or row["clip"] in clips])


def halves(rows):
    names = sorted({row["clip"] for row in rows})
    return names[::2], names[1::2]


def test_known_means_in_known_order(study):
    rows = make_rows(**ONE)
    table = make_leaderboard(study(rows), Options(metrics=("heard_faithfulness", "heard_average_drop")))
    assert [line.name["method"] for line in table.lines] == [method for method, _ in METHODS]
    assert [line.values[0].mark for line in table.lines] == ["best", "second", "", "", ""]
    assert [line.values[1].mark for line in table.lines] == ["best", "second", "", "", ""]
    _, reported = halves(rows)
    for line in table.lines:
        words = {"method": line.name["method"], "mask": line.chosen["mask"]}
        assert line.values[0].mean == pytest.approx(mean_of(rows, "heard_faithfulness", reported, **words))
        assert (line.clips, line.rows, line.failed) == (10, 60, 0)
        assert line.seconds == pytest.approx(0.51)


def test_the_mask_is_chosen_without_looking_at_what_is_reported(study):
    """On the first half `first` is better, on the other `other`: the first is taken, with its poor numbers."""
    rows = make_rows(**ONE, methods={("gradient", "stft"): 0.5}, masks={"first": 0.0, "other": 0.0}, noise=0.0)
    seen, reported = halves(rows)
    for row in rows:
        good = (row["mask"] == "first") == (row["clip"] in seen)
        row["faithfulness"] = 0.8 if good else 0.1
    table = make_leaderboard(study(rows), Options(metrics=("faithfulness",), choose="faithfulness"))
    (line,) = table.lines
    assert line.chosen == {"mask": "first"}
    assert line.values[0].mean == pytest.approx(0.1)
    assert (table.choice.clips, table.clips) == ((tuple(seen),), len(reported))
    other = make_leaderboard(
        study(rows),
        Options(metrics=("faithfulness",), choose="faithfulness", only={"clip": tuple(reported)}),
    )
    assert other.lines[0].chosen == {"mask": "other"}


def test_nothing_is_held_back_where_nothing_is_chosen(study):
    rows = make_rows(**ONE, masks={"positive": 0.0})
    table = make_leaderboard(study(rows), Options(metrics=("heard_faithfulness",)))
    assert table.choice is None
    assert {line.clips for line in table.lines} == {20}
    assert table.lines[0].values[0].mean == pytest.approx(
        mean_of(rows, "heard_faithfulness", method="integrated_gradients")
    )
    grid = make_leaderboard(
        study(make_rows(**ONE)), Options(metrics=("heard_faithfulness",), by=("method", "domain", "mask"))
    )
    assert grid.choice is None
    assert len(grid.lines) == 15
    assert all(line.chosen == {} for line in grid.lines)


def test_ways_to_choose(study):
    rows = study(make_rows(**ONE))
    masks = {
        how: {line.chosen["mask"] for line in make_leaderboard(rows, Options(choose=how)).lines}
        for how in ("sparseness", "complexity", "heard_difference")
    }
    assert masks == {"sparseness": {"topk:0.05"}, "complexity": {"topk:0.05"}, "heard_difference": {"topk:0.3"}}
    by_rank, by_score = make_leaderboard(rows), make_leaderboard(rows, Options(choose="score"))
    assert len(by_rank.choice.metrics) == 7
    assert by_rank.choice.how == "rank"
    assert by_score.choice.how == "score"
    assert make_leaderboard(rows, Options(seed=1)).choice.seed == 1


def test_the_same_clips_on_request(study):
    """As audiointerp does: all clips choose and all are reported."""
    rows = make_rows(**ONE)
    table = make_leaderboard(study(rows), Options(metrics=("faithfulness",), choose="score", same_clips=True))
    assert (table.clips, len(table.choice.clips[0]), table.choice.same_clips) == (20, 20, True)
    line = next(line for line in table.lines if line.name["method"] == "integrated_gradients")
    mean = mean_of(rows, "faithfulness", method="integrated_gradients", mask=line.chosen["mask"])
    assert line.values[0].mean == pytest.approx(mean)
    means = np.array(
        [[mean_of(rows, m, method=method, mask=mask) for m in SEVEN] for method, _ in METHODS for mask in MASKS]
    )
    score = geometric_score(means, np.array([True, True, False, True, True, True, False]))
    for place, found in enumerate(sorted(table.lines, key=lambda x: [m for m, _ in METHODS].index(x.name["method"]))):
        assert found.score == pytest.approx(score[3 * place : 3 * place + 3].max())
    assert np.isnan(make_leaderboard(study(rows)).lines[0].score)


def test_domains_do_not_compete_by_what_hangs_on_their_grids(study):
    """In the domain mel does better, as heard stft does: what is heard decides."""
    methods = {("gradient", "stft"): 0.2, ("gradient", "mel"): 0.7}
    rows = make_rows(**ONE, methods=methods)
    for row in rows:
        for name in ("heard_faithfulness", "heard_average_gain", "heard_input_fidelity"):
            row[name] = float(row["domain"] == "stft")
        for name in ("heard_average_drop", "heard_average_increase"):
            row[name] = 0.0
    (line,) = make_leaderboard(study(rows), Options(by=("method",))).lines
    assert line.chosen["domain"] == "stft"
    bare = [{k: v for k, v in row.items() if not k.startswith("heard_")} for row in rows]
    with pytest.raises(OtoscopeError, match="domains cannot be chosen: no metric is comparable across them"):
        make_leaderboard(study(bare), Options(by=("method",)))


def test_lines_by_the_names_of_a_recipe(study):
    rows = [{**row, "name": f"{row['method']} here"} for row in make_rows(**ONE)]
    rows = fail(rows, lambda row: row["method"] == "gradient")
    for row in rows:
        row["name"] = f"{row['method']} here"
    table = make_leaderboard(study(rows), Options(by=("name",), metrics=("faithfulness",)))
    assert table.choice.columns == ("mask",)
    assert [line.domain for line in table.lines] == ["features", "mel", "stft", "stft", "stft"]
    assert table.lines[2].chosen == {"method": "integrated_gradients", "domain": "stft", "mask": "topk:0.3"}
    assert table.lines[-1].chosen == {"method": "gradient", "domain": "stft", "mask": ""}  # all failed
    assert {line.role for line in table.lines} == {"", "control"}


def test_what_hangs_on_the_grid_is_marked_and_ordered_within_domains(study):
    methods = {("a", "components,n=9"): 0.9, ("b", "components,n=9"): 0.8, ("a", "stft"): 0.4, ("b", "stft"): 0.2}
    table = make_leaderboard(
        study(make_rows(**ONE, methods=methods)), Options(metrics=("faithfulness", "heard_faithfulness"))
    )
    assert table.sort == "heard_faithfulness"
    marks = {(x.name["method"], x.domain): [v.mark for v in x.values] for x in table.lines}
    assert marks == {
        ("a", "components"): ["best", "best"],
        ("b", "components"): ["second", "second"],
        ("a", "stft"): ["best", ""],
        ("b", "stft"): ["second", ""],
    }
    apart = make_leaderboard(study(make_rows(**ONE, methods=methods, seed=1)), Options(metrics=("faithfulness",)))
    assert [line.domain for line in apart.lines] == ["components"] * 2 + ["stft"] * 2


def with_chance():
    """Components get more by chance: less that, stft is better."""
    methods = {("a", "components"): 0.6, ("b", "components"): 0.5, ("a", "stft"): 0.4, ("b", "stft"): 0.2}
    rows = make_rows(**ONE, methods=methods, truth=True)
    for row in rows:
        row["chance_relevance_mass"] = 0.6 if row["domain"] == "components" else 0.1
        row["chance_pointing_game"] = 0.3 if row["domain"] == "stft" else float("nan")
    return rows


def test_domains_are_compared_above_chance(study):
    table = make_leaderboard(study(with_chance()))
    names = [m.name for m in table.metrics]
    assert names[:2] == ["truth_relevance_mass_above_chance", "truth_pointing_game"]  # which is not known everywhere
    assert table.sort == names[0]
    assert not any(name.startswith("chance_") for name in names)
    first = table.lines[0]
    assert (first.name["method"], first.domain, first.values[0].mark) == ("a", "stft", "best")
    assert [v.chance for v in first.values[:2]] == pytest.approx([0.1, 0.3])
    plain = make_leaderboard(study(with_chance()), Options(metrics=("truth_relevance_mass",)))
    gap = {x.name["method"] + x.domain: x.values[0].mean - x.values[0].chance for x in plain.lines}
    less = {x.name["method"] + x.domain: x.values[0].mean for x in table.lines}
    assert gap == pytest.approx(less)
    alone = make_leaderboard(study(with_chance()), Options(only={"domain": ("stft",)}))
    assert alone.metrics[0].name == "truth_relevance_mass"  # one domain needs no such thing


def test_domain_and_mask_can_be_chosen_too(study):
    methods = {("gradient", "stft"): 0.2, ("gradient", "mel"): 0.7}
    table = make_leaderboard(
        study(make_rows(**ONE, methods=methods)), Options(by=("method",), metrics=("faithfulness",))
    )
    (line,) = table.lines
    assert line.name == {"method": "gradient"}
    assert line.chosen == {"domain": "mel", "mask": "topk:0.3"}


def test_panels_are_compared_apart(study):
    rows = make_rows()
    table = make_leaderboard(study(rows), Options(metrics=("heard_faithfulness",)))
    assert [dict(panel) for panel in table.panels] == [
        {"condition": c, "classifier": n} for c in ("clean", "white") for n in ("mel", "stft")
    ]
    assert [[line.values[0].mark for line in table.of_panel(p)].count("best") for p in range(4)] == [1] * 4
    joined = make_leaderboard(
        study(rows), Options(metrics=("heard_faithfulness",), by=("classifier", "method", "domain"))
    )
    assert [dict(panel) for panel in joined.panels] == [{"condition": "clean"}, {"condition": "white"}]
    assert [line.values[0].mark for line in joined.of_panel(0)].count("best") == 1


def test_conditions_can_be_taken_together(study):
    rows = make_rows(clips=8)
    for row in rows:  # under white noise, other clips
        row["clip"] = row["clip"].replace("A", "B") if row["condition"] == "white" else row["clip"]
    table = make_leaderboard(
        study(rows), Options(pool=("condition",), by=("method", "domain", "mask"), metrics=("faithfulness",))
    )
    assert table.panels == ({"classifier": "mel"}, {"classifier": "stft"})
    assert table.panel_clips == (16, 16)
    assert table.pooled == {"condition": ("clean", "white")}
    for line in table.lines:
        wanted = mean_of(rows, "faithfulness", classifier=table.panels[line.panel]["classifier"], **line.name)
        assert line.values[0].mean == pytest.approx(wanted)
    both = make_leaderboard(study(rows), Options(pool=("condition", "classifier"), metrics=("faithfulness",)))
    assert both.panels == ({},)
    assert len(both.lines) == len(METHODS)


def test_pooled_clips_count_where_none_of_their_conditions_failed(study):
    rows = make_rows(clips=6, classifiers={"mel": 0.0})
    rows = fail(rows, lambda r: r["condition"] == "white" and r["method"] == "gradient" and r["clip"] == "1-002-A.wav")
    table = make_leaderboard(
        study(rows), Options(pool=("condition",), by=("method", "domain", "mask"), metrics=("faithfulness",))
    )
    for line in table.lines:
        lost = line.name["method"] == "gradient"
        assert line.clips == (5 if lost else 6)
        others = {row["clip"] for row in rows} - ({"1-002-A.wav"} if lost else set())
        assert line.values[0].mean == pytest.approx(
            mean_of(rows, "faithfulness", others, **line.name)
        )  # of both conditions


def test_other_columns_make_lines(study):
    rows = make_rows(**ONE, masks={"positive": 0.0})
    table = make_leaderboard(study(rows), Options(("faithfulness",), ("method", "domain", "correct"), sort="name"))
    assert [line.name["correct"] for line in table.lines[:2]] == ["no", "yes"]
    assert [line.clips for line in table.lines[:2]] == [4, 16]


def test_failures_are_counted_and_the_others_averaged(study):
    rows = fail(
        make_rows(**ONE), lambda row: row["method"] == "grad_cam" and row["clip"] in ("1-001-A.wav", "1-004-A.wav")
    )
    rows = fail(rows, lambda row: row["method"] == "gradient", "it never works")
    table = make_leaderboard(study(rows), Options(metrics=("faithfulness",)))
    lines = {line.name["method"]: line for line in table.lines}
    assert (lines["grad_cam"].clips, lines["grad_cam"].failed, lines["grad_cam"].rows) == (9, 6, 60)
    assert (lines["gradient"].clips, lines["gradient"].failed, lines["gradient"].chosen) == (0, 60, {"mask": ""})
    assert np.isnan(lines["gradient"].values[0].mean)
    assert table.lines[-1].name["method"] == "gradient"  # nothing known comes last
    assert table.failed == 66
    assert table.failures[0].reason == "it never works"
    _, reported = halves(rows)
    assert lines["grad_cam"].values[0].mean == pytest.approx(
        mean_of(rows, "faithfulness", reported, method="grad_cam", mask=lines["grad_cam"].chosen["mask"])
    )


def test_all_failed(study):
    rows = study(fail(make_rows(**ONE, clips=3), lambda row: True))
    with pytest.raises(OtoscopeError, match="check whether all rows failed"):
        make_leaderboard(rows)


def test_oracles_and_controls(study):
    methods = {(method, "stft"): good for (method, _), good in METHODS.items()} | {("oracle:ratio", "stft"): 0.95}
    table = make_leaderboard(study(make_rows(**ONE, methods=methods, truth=True)), Options(("truth", "faithfulness")))
    first, second = table.lines[:2]
    assert (first.role, first.values[0].mark, second.values[0].mark) == ("oracle", "", "best")
    assert {a.lines for a in table.agreements} == {5}
    taus = {(a.metric, a.truth): a.tau for a in table.agreements}
    assert taus["faithfulness", "truth_relevance_mass"] == 1.0
    assert taus["faithfulness", "truth_pointing_game"] < 0


def test_orders(study):
    rows = study([{**row, "seconds": len(row["method"])} for row in make_rows(**ONE)])
    names = lambda sort: [line.name["method"] for line in make_leaderboard(rows, Options(sort=sort)).lines]  # noqa: E731
    assert names("name") == sorted(method for method, _ in METHODS)
    assert names("seconds") == sorted((method for method, _ in METHODS), key=lambda name: (len(name), name))
    assert names("heard_average_drop")[0] == "integrated_gradients"


def test_selection(study):
    rows = study(make_rows())
    table = make_leaderboard(rows, Options(only={"condition": ("white",), "method": ("gradient", "random")}))
    assert {panel["condition"] for panel in table.panels} == {"white"}
    assert {line.name["method"] for line in table.lines} == {"gradient", "random"}
    assert table.rows == 2 * 2 * 3 * 20


def test_it_is_plain_data(study):
    rows = fail(make_rows(truth=True), lambda row: row["method"] == "gradient")
    plain = make_leaderboard(study(rows)).to_dict()
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert again["lines"][0]["values"][0]["mark"] == "best"
    assert {value["alike"] for line in again["lines"] for value in line["values"]} <= {True, False}
    assert again["metrics"][0]["name"] == "truth_relevance_mass"


def test_the_same_every_time(study):
    rows = study(make_rows())
    assert make_leaderboard(rows).to_dict() == make_leaderboard(rows).to_dict()


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (Options(by=("methods",)), UnknownNameError, "did you mean 'method'"),
        (Options(by=()), ParameterError, "distinct columns; got none"),
        (Options(by=("method", "method")), ParameterError, "distinct columns"),
        (Options(only={"condition": ("clear",)}), UnknownNameError, "did you mean 'clean'"),
        (Options(only={"conditions": ("clean",)}), UnknownNameError, "did you mean 'condition'"),
        (
            Options(only={"method": ("gradient",), "domain": ("mel",)}),
            OtoscopeError,
            "no row of the results has",
        ),
        (Options(sort="faithfulnes"), UnknownNameError, "order of the table"),
        (Options(choose="best"), UnknownNameError, "criterion for masks"),
        (Options(only={"clip": ("1-000-A.wav",)}), OtoscopeError, "there is one clip, so the mask"),
        (Options(level=1.0), ParameterError, "between 0 and 1"),
        (Options(draws=0), ParameterError, "draws must be between 1 and 1,000,000; got 0"),
        (Options(pool=("conditions",)), UnknownNameError, "did you mean 'condition'"),
        (
            Options(pool=("condition",), by=("condition", "method")),
            ParameterError,
            "is both in by and in pool",
        ),
        (Options(seed=-1), ParameterError, "seed"),
    ],
)
def test_bad_asks(study, ask, error, said):
    with pytest.raises(error, match=said):
        make_leaderboard(study(make_rows(clips=4)), ask)


def test_where_all_failed_the_reason_is_given(study):
    rows = [{**row, "status": "failed", "error": "the sound is damaged"} for row in make_rows(clips=4)]
    with pytest.raises(OtoscopeError, match=f"all {len(rows)} rows failed.*: the sound is damaged"):
        make_leaderboard(study(rows))


def test_masks_cannot_be_chosen_by_what_has_no_direction(study):
    rows = study([{**row, "strange": 1.0} for row in make_rows(clips=4)])
    with pytest.raises(ParameterError, match="which has no better direction"):
        make_leaderboard(rows, Options(choose="strange"))
    bare = study(
        [
            {k: row[k] for k in ("clip", "condition", "classifier", "method", "domain", "mask", "status")}
            | {"strange": 1.0}
            for row in make_rows(clips=4)
        ]
    )
    with pytest.raises(OtoscopeError, match="no metric has a better direction"):
        make_leaderboard(bare)


def test_reasons_with_counts_and_clips(study):
    rows = fail(
        make_rows(clips=8, conditions={"clean": 0.0}), lambda row: row["method"] == "grad_cam", "no feature maps"
    )
    rows = fail(
        rows,
        lambda row: row["method"] == "gradient" and row["clip"] == "1-003-A.wav" and row["classifier"] == "mel",
        "",
    )
    found = list_failures(study(rows))
    assert [(f.method, f.domain, f.classifier, f.reason, f.rows) for f in found] == [
        ("grad_cam", "features", "mel", "no feature maps", 24),
        ("grad_cam", "features", "stft", "no feature maps", 24),
        ("gradient", "stft", "mel", "no reason recorded", 3),
    ]
    assert found[0].clips == tuple(f"1-00{i}-A.wav" for i in range(CLIPS_OF_FAILURE))
    assert found[2].clips == ("1-003-A.wav",)


def test_none(study):
    assert list_failures(study(make_rows(clips=2))) == ()


def test_without_a_column_for_reasons_the_status_is_one(study):
    rows = [
        {k: v for k, v in row.items() if k != "error"}
        for row in fail(make_rows(clips=2), lambda row: row["method"] == "random")
    ]
    assert {f.reason for f in list_failures(study(rows))} == {"failed"}
