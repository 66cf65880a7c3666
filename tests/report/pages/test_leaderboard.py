"""The page of a table without a browser: what it shows, what it escapes, what it refuses; and its plots."""

import html.parser
import re

import pytest

from otoscope.core.errors import ParameterError, WriteError
from otoscope.report.pages.leaderboard import interval_plot, scatter_plot, write_leaderboard_page

HOSTILE = "</script><script>window.hacked = 1</script>\"'><img src=x onerror='window.hacked=1'> $data & <!--"


def value(mean, half=0.1, mark="", n=10, p=None):
    low, high = (None, None) if mean is None or half is None else (mean - half, mean + half)
    return {"mean": mean, "low": low, "high": high, "n": n, "mark": mark, "p": p, "alike": p is not None and p >= 0.05}


def metric(name, short, higher, heard=False, truth=False, unit=""):
    title = name.removeprefix("heard_").removeprefix("truth_").replace("_", " ").capitalize()
    facts = {
        "name": name,
        "short": short,
        "title": title,
        "unit": unit,
        "higher_is_better": higher,
        "means": f"What {short} says.",
    }
    return {**facts, "heard": heard, "truth": truth, "digits": 2}


def line(panel, method, domain, values, failed=0, role="", mask="topk:0.3", clips=10):
    name, chosen = {"method": method, "domain": domain}, {"mask": mask}
    return {
        "panel": panel, "name": name, "chosen": chosen, "role": role, "clips": clips, "rows": 40, "failed": failed, "seconds": 0.5,
        "values": values, "title": "Plain gradient" if method == "gradient" else "", "domain": domain,
    }  # fmt: skip


FAILED = {
    "condition": "clean", "classifier": "mel", "method": "gradient", "domain": "stft", "reason": "silent", "rows": 2,
    "clips": ["a.wav"],
}  # fmt: skip
AGREED = {
    "panel": 0, "metric": "heard_faithfulness", "truth": "truth_relevance_mass", "tau": -0.5, "low": -0.75, "high": 0.25,
    "lines": 3,
}  # fmt: skip


def contents():
    """Two panels; in the first, rise is best in both metrics of faithfulness, gradient in the truth."""
    first = [
        line(0, "gradient", "stft", [value(0.9, mark="best"), value(0.3), value(20.0, 2)], failed=2),
        line(0, "rise", "mel", [value(0.7, mark="second"), value(0.8, mark="best"), value(5.0, 1, "best")]),
        line(
            0, "random", "stft", [value(0.1, p=0.2), value(0.4, mark="second", n=8), value(None, None)], role="control"
        ),
        line(0, "oracle:ratio", "stft", [value(1.0), value(0.5), value(7.0)], role="oracle"),
    ]
    second = [
        line(1, "rise", "mel", [value(0.2), value(0.1), value(1.0)]),
        line(1, "gradient", "stft", [value(0.1), value(0.2), value(2.0)]),
    ]
    return {
        "title": "A table",
        "by": ["method", "domain"],
        "choice": {"columns": ["mask"], "how": "rank", "metrics": ["faithfulness"], "clips": [["x.wav"]], "seed": None},
        "panels": [{"condition": "clean", "classifier": "mel"}, {"condition": "white", "classifier": "mel"}],
        "metrics": [
            metric("truth_relevance_mass", "Mass", True, truth=True),
            metric("heard_faithfulness", "FF", True, heard=True),
            metric("average_drop", "AD", False, unit="%"),
        ],
        "lines": [*first, *second],
        "failures": [dict(FAILED)],
        "agreements": [dict(AGREED)],
        "caption": ["10 rows.", "Means over 10 clips."],
        "clips": 10,
        "of_clips": 20,
        "rows": 240,
        "failed": 2,
        "level": 0.95,
        "sort": "truth_relevance_mass",
        "about": {"conditions": {"white": "White noise"}},
        "listen": {
            "href": "listen #1/index.html",
            "clips": [
                {
                    "why": "best", "clip": "a.wav", "label": "dog", "where": "clean, mel", "place": 0,
                    "heard": [{"name": "rise, mel", "kept": 0.9, "removed": 0.0004}],
                }
            ],
        },
    }  # fmt: skip


class Reader(html.parser.HTMLParser):
    """Rows of tables as words, element names, attributes."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.tables, self._inside, self.shown = [], [], [], False, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
            self._inside = True
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "table"

    def handle_data(self, data):
        self.shown.append(data)
        if self._inside and self.tables[-1] and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data


def page_of(folder, made=None):
    path = write_leaderboard_page(made or contents(), folder / "table.html")
    return path.read_text(encoding="utf-8")


def test_the_numbers_their_marks_and_their_order(tmp_path):
    first, second = Reader(page_of(tmp_path)).tables[:2]
    rows = {row[0]: row[1:] for row in first[2:]}
    assert list(rows) == [
        "1Plain gradientgradient · stft · topk:0.3",
        "2risemel · topk:0.3",
        "3random controlstft · topk:0.3",
        "4oracle:ratio oraclestft · topk:0.3",
    ]
    rise, control = rows["2risemel · topk:0.3"], rows["3random controlstft · topk:0.3"]
    assert rise == ["0.70 (second best)±0.10", "0.80 (best)±0.10", "5.00 (best)±1.00", "10", "0", "0.5"]
    assert control[:3] == [
        "0.10≈ (not significantly different from the best)±0.10",
        "0.40 (second best)±0.108 clips",
        "–",
    ]
    assert [row[0] for row in second[2:]] == ["1risemel · topk:0.3", "2Plain gradientgradient · stft · topk:0.3"]


def test_heads_say_where_and_which_way(tmp_path):
    groups, heads = Reader(page_of(tmp_path)).tables[0][:2]
    assert groups == ["", "Ground truth", "As heard", "In the domain", "Counts"]
    assert heads[:4] == [
        "method · domain · mask",
        "Mass ↑, higher is better",
        "FF ↑, higher is better",
        "AD % ↓, lower is better",
    ]
    sorts = [a for tag, a in Reader(page_of(tmp_path)).attributes if tag == "th" and "aria-sort" in a][:7]
    assert [a["aria-sort"] for a in sorts] == ["none", "descending", "none", "none", "none", "none", "none"]
    assert [a["data-way"] for a in sorts] == ["up", "down", "down", "up", "down", "up", "up"]


def test_scores_that_chose_masks_are_shown(tmp_path):
    made = contents()
    made["choice"]["how"] = "score"
    for place, one in enumerate(made["lines"]):
        one["score"] = 0.1 * place if place else None
    head, *rows = Reader(page_of(tmp_path, made)).tables[0][1:]
    assert head[4:] == ["score", "clips", "failed", "s\u202f/\u202fclip"]
    assert [row[4] for row in rows] == ["–", "0.100", "0.200", "0.300"]


def test_values_to_sort_by_are_exact(tmp_path):
    made = contents()
    made["lines"][1]["values"][1]["mean"] = 1 / 3
    cells = [a.get("data-value") for tag, a in Reader(page_of(tmp_path, made)).attributes if tag == "td"]
    assert repr(1 / 3) in cells
    assert "p = 0.2 against the best" in page_of(tmp_path)
    assert "95 % interval 0.60 to 0.80, 10 clips" in page_of(tmp_path)


def test_filters_for_what_differs(tmp_path):
    page = page_of(tmp_path)
    assert "<legend>Condition</legend>" in page
    assert "<legend>Classifier</legend>" not in page  # there is one
    choices = re.findall(r'<input type="radio" name="condition" value="(\w*)"( checked)?', page)
    assert choices == [("clean", ""), ("white", ""), ("", " checked")]
    assert "<span>White noise</span>" in page


def test_failures_agreement_and_sounds(tmp_path):
    tables = Reader(page_of(tmp_path)).tables
    listen, agreement, failures = tables[2:5]
    assert listen[1] == ["rise, mel", "90\u202f%", "<0.1\u202f%"]
    assert agreement[1] == ["clean, mel", "Faithfulness as heard", "all", "−0.50 (−0.75 to 0.25)"]
    assert failures[1] == ["2", "gradient", "stft", "clean", "mel", "silent", "a.wav"]
    page = page_of(tmp_path)
    assert 'href="listen%20%231/index.html#clip-1"' in page
    assert "10 of 20 clips · 240 rows, 2 failed" in page


def test_nothing_is_said_of_what_is_not_there(tmp_path):
    made = {**contents(), "failures": [], "agreements": [], "failed": 0, "choice": None}
    made["metrics"] = [dict(m, truth=False) for m in made["metrics"]]
    del made["listen"]
    made["of_clips"] = 10
    page = page_of(tmp_path, made)
    assert "No row failed." in page
    for words in ("Example clips", "Rank correlation with the ground truth", "Faithfulness against the ground truth"):
        assert words not in page
    assert "10 clips · 240 rows<" in page


def test_what_hangs_on_the_grid_is_compared_within_a_domain(tmp_path):
    made = contents()
    made["metrics"][0]["within"] = True
    page = page_of(tmp_path, made)
    assert page.count('<span class="chip">within a domain</span>') == 2 + 1  # two plots, one meaning
    assert "Compare it within a domain only." in page
    assert "Faithfulness and relevance mass, stft" in page
    assert "Faithfulness and relevance mass, mel" not in page  # one line alone
    (plot,) = re.findall(r'relevance mass, stft.*?(<svg class="plot".*?</svg>)', page, re.S)[:1]
    assert re.findall(r'<text class="number[^>]*>(\d)</text>', plot) == ["1", "3", "4"]
    made["sort"] = "truth_relevance_mass"
    assert 'aria-sort="descending"' not in page_of(tmp_path, made)  # it is sorted domain by domain


def test_chance_and_sanity_have_their_tables(tmp_path):
    made = contents()
    made["chance"] = [{"panel": 0, "domain": "stft", "levels": [0.25, None, None]}]
    made["lines"][0]["values"][0]["chance"] = 0.25
    made["sanity"] = {
        "heads": ["classifier", "randomised", "verdict"],
        "rows": [["mel", 0.912, "unchanged"], ["mel", None, HOSTILE]],
        "said": "How alike.",
        "flag": "unchanged",
    }
    page = page_of(tmp_path, made)
    tables = Reader(page).tables
    chance, sanity = tables[4:6]
    assert chance == [["Panel", "Domain", "Relevance mass"], ["clean, mel", "stft", "0.250"]]
    assert sanity[1] == ["mel", "0.91", "unchanged"]
    assert sanity[2][:2] == ["mel", "–"]
    assert "<strong>unchanged</strong>" in page
    assert "chance level 0.250" in page
    assert "<img" not in page


def test_it_asks_for_nothing(tmp_path):
    reader = Reader(page_of(tmp_path))
    for tag, attributes in reader.attributes:
        for name in ("src", "href", "action", "style", "onclick"):
            found = attributes.get(name)
            assert found is None or found.startswith(("#", "data:,", "listen%20")), (tag, name, found)
    policy = next(a["content"] for tag, a in reader.attributes if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_hostile_words_stay_words(tmp_path):
    made = contents()
    made["title"] = HOSTILE
    made["lines"][0] |= {"name": {"method": HOSTILE, "domain": HOSTILE}, "chosen": {"mask": HOSTILE}}
    made["metrics"][0] |= {"short": HOSTILE, "title": HOSTILE, "means": HOSTILE, "unit": HOSTILE}
    made["failures"][0] |= {"reason": HOSTILE, "method": HOSTILE, "clips": [HOSTILE]}
    made["panels"][1] = {"condition": HOSTILE, "classifier": "mel"}
    made["listen"]["clips"][0] |= {"clip": HOSTILE, "label": HOSTILE, "where": HOSTILE, "why": HOSTILE}
    made["about"] = {HOSTILE: HOSTILE}
    made["caption"] = [HOSTILE]
    plain, odd = Reader(page_of(tmp_path)), Reader(page_of(tmp_path, made))
    assert odd.elements.count("script") == plain.elements.count("script") == 1
    assert "img" not in odd.elements
    assert "".join(odd.shown).count("window.hacked = 1") > 8
    assert not any(name.startswith("on") for _, a in odd.attributes for name in a)


def test_bytes_that_are_no_text(tmp_path):
    made = contents()
    made["failures"][0]["clips"] = ["caf\udce9.wav"]
    assert "caf\ufffd.wav" in page_of(tmp_path, made)


def test_what_is_lacking_is_named(tmp_path):
    made = contents()
    del made["caption"], made["level"]
    with pytest.raises(ParameterError, match="it lacks caption, level"):
        write_leaderboard_page(made, tmp_path / "t.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        write_leaderboard_page(contents(), tmp_path / "file" / "t.html")


# --- plots ----------------------------------------------------------------------------------------------------------


def circles(svg):
    return [
        (float(x), float(y), kind)
        for kind, x, y in re.findall(r'<circle class="([^"]*)" cx="([\d.]+)" cy="([\d.]+)"', svg)
    ]


def test_an_interval_plot_puts_means_and_intervals_in_proportion():
    lines = contents()["lines"][:4]
    svg = interval_plot(contents()["metrics"][1], 1, lines, ["a", "b", "c", "d"])
    dots = circles(svg)
    x = [dot[0] for dot in dots]
    assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx((0.8 - 0.3) / (0.4 - 0.3), abs=0.02)
    assert [dot[1] for dot in dots] == sorted(dot[1] for dot in dots)
    assert [dot[2] for dot in dots] == ["mean", "mean best", "mean second control", "mean oracle"]
    ends = [(float(a), float(b)) for a, b in re.findall(r'<line class="whisker" x1="([\d.]+)" x2="([\d.]+)"', svg)]
    for (left, right), middle in zip(ends, x, strict=True):
        assert middle - left == pytest.approx(right - middle, abs=0.2)
    assert "<title>b: 0.8 (0.7 to 0.9)</title>" in svg


def test_what_is_not_defined_has_no_dot():
    lines = contents()["lines"][:4]
    svg = interval_plot(contents()["metrics"][2], 2, lines, ["a", "b", "c", "d"])
    assert len(circles(svg)) == 3
    assert "not defined" in svg


@pytest.mark.parametrize("means", [[0.7, 0.7 + 1e-16, 0.7], [0.0, 0.0, 0.0], [-5.0, 1e9, 3.0], [None, None, None]])
def test_any_numbers_can_be_drawn(means):
    lines = [line(0, "m", "d", [value(m, None)]) for m in means]
    svg = interval_plot(contents()["metrics"][0], 0, lines, list("abc"))
    assert "nan" not in svg
    assert all(0 <= dot[0] <= 440 for dot in circles(svg))
    if means[0] == 0.7:
        assert len({dot[0] for dot in circles(svg)}) == 1


def test_a_scatter_plot_goes_up_and_to_the_right():
    metrics, lines = contents()["metrics"], contents()["lines"][:3]
    svg = scatter_plot((metrics[1], metrics[0]), (1, 0), lines, ["a", "b", "c"])
    (ax, ay, _), (bx, by, _), (cx, cy, kind) = circles(svg)
    assert ax < cx < bx
    assert ay < by < cy  # up is less
    assert kind == "mean control"
    assert re.findall(r'<text class="number[^>]*>(\d)</text>', svg) == ["1", "2", "3"]
    assert ">Faithfulness, as heard</text>" in svg
