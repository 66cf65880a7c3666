"""Pieces of a table page as HTML; every string from outside goes through `text`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import quote

from otoscope.report.pieces import percent, text

ARROWS = {True: ("\u2191", "higher is better"), False: ("\u2193", "lower is better")}
MARKS = {"best": "best", "second": "second best"}
WHY = {"best": "Best found", "worst": "Worst found", "disputed": "Most disputed"}
COUNTS = {"seconds": "s\u202f/\u202fclip"}
DASH, DOT = "\u2013", " \u00b7 "


def title_of(contents: Mapping[str, Any], column: str, word: str) -> str:
    """The study's title of a word, or the word."""
    known = contents["about"].get(f"{column}s") or {}
    found = known.get(word) if isinstance(known, Mapping) else None
    return str((found.get("title") if isinstance(found, Mapping) else found) or word)


def panel_title(contents: Mapping[str, Any], panel: int) -> str:
    """Condition and classifier of a panel in words."""
    words = contents["panels"][panel].items()
    return ", ".join(filter(None, (title_of(contents, column, word) for column, word in words))) or "All"


def caption_of(metric: Mapping[str, Any]) -> str:
    """A metric in words: what it is, where it was measured, which way is better."""
    arrow, said = ARROWS.get(metric["higher_is_better"], ("", ""))
    unit = f' <span class="unit">{text(metric["unit"])}</span>' if metric["unit"] else ""
    better = f' <span class="better">{arrow} {said}</span>' if said else ""
    heard = (
        ' <span class="chip">as heard</span>'
        if metric["heard"]
        else ' <span class="chip">truth</span>'
        if metric["truth"]
        else ""
    )
    within = ' <span class="chip">within a domain</span>' if metric.get("within") else ""
    return f"{text(metric['title'])}{unit}{heard}{within}{better}"


# --- lines ----------------------------------------------------------------------------------------------------------


def _words(line: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What a line is called, and what else makes it or was chosen for it."""
    words = [*line["name"].values(), *line["chosen"].values()]
    title = line.get("title", "")
    if title and title != words[0]:
        return title, [word for word in words if word]
    return words[0] or "none", [word for word in words[1:] if word]


def short_name(line: Mapping[str, Any]) -> str:
    """What a line is called in plots."""
    main, _ = _words(line)
    rest = [word for key, word in line["name"].items() if key not in ("method", "name") and word and word != main]
    return ", ".join([main, *rest])


def table_html(contents: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    """The table of a panel, its lines in the order in which they come."""
    body = "".join(_row(contents, place, line) for place, line in enumerate(lines))
    return f'<table class="results">{_heads(contents)}<tbody>{body}</tbody></table>'


def _group(metric: Mapping[str, Any]) -> str:
    if metric["truth"]:
        return "Against the truth"
    if metric["heard"]:
        return "As heard"
    return "The mask" if metric["name"] in ("sparseness", "complexity", "mask_size") else "In the domain"


def _heads(contents: Mapping[str, Any]) -> str:
    """Two rows: where metrics were measured, and the buttons that sort."""
    groups = [(title, len(list(some))) for title, some in groupby(contents["metrics"], _group)]
    above = "".join(f'<th scope="colgroup" colspan="{count}">{text(title)}</th>' for title, count in groups)
    name = DOT.join([*contents["by"], *(contents["lines"][0]["chosen"] if contents["lines"] else ())])
    order = contents.get("sort", "")
    heads = [
        _head(text(name), "text", "up", order == "name"),
        *(_metric_head(m, order == m["name"] and not m.get("within")) for m in contents["metrics"]),
    ]
    counts = [("score", "down")] if scored(contents) else []
    counts += [("clips", "down"), ("failed", "up"), ("seconds", "up")]
    heads += [_head(COUNTS.get(name, name), "number", way, order == name) for name, way in counts]
    over = f'<th scope="colgroup" colspan="{len(counts)}">Counts</th>'
    return f'<thead><tr class="groups"><td></td>{above}{over}</tr><tr>{"".join(heads)}</tr></thead>'


def scored(contents: Mapping[str, Any]) -> bool:
    """Whether masks were chosen by a score, which is shown."""
    return (contents.get("choice") or {}).get("how") == "score"


def _metric_head(metric: Mapping[str, Any], sorted_by: bool) -> str:
    arrow, said = ARROWS.get(metric["higher_is_better"], ("", ""))
    unit = f' <span class="unit">{text(metric["unit"])}</span>' if metric["unit"] else ""
    spoken = f'<span class="hidden">, {said}</span>' if said else ""
    label = f'{text(metric["short"])}{unit} <span aria-hidden="true">{arrow}</span>{spoken}'
    means = f"{metric['title']}. {metric['means']}" if metric["means"] else metric["title"]
    means += " Compare it within a domain only." if metric.get("within") else ""
    return _head(label, "number", "up" if metric["higher_is_better"] is False else "down", sorted_by, means)


def _head(label: str, kind: str, way: str, sorted_by: bool = False, means: str = "") -> str:
    """A head with its button; ``way`` is the order of the first click, and that in which the lines come."""
    title = f' title="{text(means)}"' if means else ""
    order = {"up": "ascending", "down": "descending"}[way] if sorted_by else "none"
    return (
        f'<th scope="col" class="{kind}" data-kind="{kind}" data-way="{way}" aria-sort="{order}">'
        f'<button type="button" class="sort"{title}>{label}</button></th>'
    )


def _row(contents: Mapping[str, Any], place: int, line: Mapping[str, Any]) -> str:
    main, rest = _words(line)
    told = line["role"] in str(line.get("title") or "").lower()
    chip = f' <span class="chip">{text(line["role"])}</span>' if line["role"] and not told else ""
    words = DOT.join(f"<bdi>{text(word)}</bdi>" for word in rest)
    below = f'<span class="rest">{words}</span>' if rest else ""
    name = f"<span><bdi>{text(main)}</bdi>{chip}{below}</span>"
    head = f'<th scope="row" data-value="{text(main)}"><i class="place">{place + 1}</i>{name}</th>'
    cells = [_cell(v, m, line, contents["level"]) for v, m in zip(line["values"], contents["metrics"], strict=True)]
    lost = f'<a href="#failures">{line["failed"]}</a>' if line["failed"] else "0"
    seconds = DASH if line["seconds"] is None else f"{line['seconds']:.3g}"
    score = line.get("score")
    counts = [(score, DASH if score is None else _fixed(score, 3), "")] if scored(contents) else []
    counts += [(line["clips"], str(line["clips"]), ""), (line["failed"], lost, " lost" if line["failed"] else "")]
    counts.append((line["seconds"], seconds, ""))
    cells += [f'<td class="count{kind}"{_data(number)}>{shown}</td>' for number, shown, kind in counts]
    return f'<tr class="{line["role"]}">{head}{"".join(cells)}</tr>'


def _data(value: float | None) -> str:
    return "" if value is None else f' data-value="{float(value)!r}"'


def _cell(value: Mapping[str, Any], metric: Mapping[str, Any], line: Mapping[str, Any], level: float) -> str:
    if value["mean"] is None:
        return '<td><span class="none" title="not defined">\u2013</span></td>'
    places = metric["digits"]
    mark = f'<span class="hidden"> ({MARKS[value["mark"]]})</span>' if value["mark"] else ""
    alike = (
        '<span class="alike" aria-hidden="true">\u2248</span><span class="hidden"> (not told from the best)</span>'
        if value["alike"]
        else ""
    )
    some = f'<span class="some">{value["n"]} clips</span>' if value["n"] < line["clips"] else ""
    width, said = "", f"{value['n']} clips"
    if value["low"] is not None:
        width = f'<span class="width">\u00b1{_fixed((value["high"] - value["low"]) / 2, places)}</span>'
        said = f"{100 * level:g} % interval {_fixed(value['low'], places)} to {_fixed(value['high'], places)}, {said}"
    if value["p"] is not None:
        said += f", p = {value['p']:.2g} against the best"
    if value.get("chance") is not None:
        said += f"; chance gets {_fixed(value['chance'], 3)}"
    shown = f'<span class="value">{_fixed(value["mean"], places)}</span>'
    return (
        f'<td class="{value["mark"]}"{_data(value["mean"])} title="{text(said)}">{shown}{mark}{alike}{width}{some}</td>'
    )


def _fixed(value: float, places: int) -> str:
    shown = f"{value:.{places}f}"
    return shown.replace("-", "\u2212") if float(shown) else shown.lstrip("-")


# --- the rest -------------------------------------------------------------------------------------------------------


def tau(found: Mapping[str, Any]) -> str:
    """A rank correlation with its interval."""
    if found["low"] is None:
        return _fixed(found["tau"], 2)
    return f"{_fixed(found['tau'], 2)} ({_fixed(found['low'], 2)} to {_fixed(found['high'], 2)})"


def agreement_html(contents: Mapping[str, Any]) -> str:
    """A part with the rank correlations of each metric with each one of truth."""
    found = {(a["panel"], a.get("domain", ""), a["metric"], a["truth"]): a for a in contents["agreements"]}
    if not found:
        return ""
    named = {metric["name"]: metric for metric in contents["metrics"]}
    truths = list(dict.fromkeys(key[3] for key in found))
    heads = "".join(f'<th scope="col">{text(named[t]["title"])}</th>' for t in truths)
    rows = []
    for panel, domain, metric in dict.fromkeys(key[:3] for key in found):
        cells = [found.get((panel, domain, metric, truth)) for truth in truths]
        shown = "".join(f"<td>{DASH if a is None else tau(a)}</td>" for a in cells)
        heard = ' <span class="chip">as heard</span>' if named[metric]["heard"] else ""
        name = f'<th scope="row">{text(named[metric]["title"])}{heard}</th><td>{text(domain or "all")}</td>'
        rows.append(_of_panel(contents, panel, f"{name}{shown}"))
    heads = f'<th scope="col">Panel</th><th scope="col">Metric</th><th scope="col">Domain</th>{heads}'
    said = (
        "Kendall\u2019s rank correlation over lines, with intervals: 1 where a metric puts the methods into the order in which "
        "the truth puts them, \u22121 where it turns that around. Lines of all domains are ranked where both metrics compare "
        "domains, else those of one."
    )
    return _part("agreement", "Does it rank as truth does?", said, _plain_table("agreement", heads, "".join(rows)))


def _of_panel(contents: Mapping[str, Any], panel: int, cells: str) -> str:
    """A row that is shown with its panel."""
    words = "".join(f' data-{text(column)}="{text(word)}"' for column, word in contents["panels"][panel].items())
    return f'<tr class="of-panel"{words}><td>{text(panel_title(contents, panel))}</td>{cells}</tr>'


def chance_html(contents: Mapping[str, Any]) -> str:
    """A part with what chance gets in each panel and domain."""
    found, metrics = contents.get("chance") or [], contents["metrics"]
    known = [i for i in range(len(metrics)) if any(row["levels"][i] is not None for row in found)]
    if not known:
        return ""
    names = [metrics[i]["title"].removesuffix(" above chance") for i in known]
    heads = "".join(f'<th scope="col">{text(word)}</th>' for word in ("Panel", "Domain", *names))
    rows = []
    for row in found:
        levels = [row["levels"][i] for i in known]
        cells = "".join(f"<td>{DASH if level is None else _fixed(level, 3)}</td>" for level in levels)
        rows.append(_of_panel(contents, row["panel"], f'<th scope="row">{text(row["domain"])}</th>{cells}'))
    said = "The means that an explanation which knows nothing gets on the same clips and cells."
    return _part("chance", "What chance gets", said, _plain_table("chance", heads, "".join(rows)))


def sanity_html(contents: Mapping[str, Any]) -> str:
    """A part that says whether explanations depend on the network, the seed, noise and shifts."""
    sanity = contents.get("sanity") or {}
    if not sanity.get("rows"):
        return ""
    heads = "".join(f'<th scope="col">{text(word)}</th>' for word in sanity["heads"])
    rows = []
    for row in sanity["rows"]:
        *cells, said = row
        shown = "".join(
            f'<td class="number">{_fixed(cell, 2)}</td>' if isinstance(cell, float) else
            f"<td>{DASH if cell is None else text(cell)}</td>"
            for cell in cells
        )  # fmt: skip
        flag = f"<strong>{text(said)}</strong>" if said == sanity["flag"] else text(said)
        rows.append(f'<tr>{shown}<td class="reason">{flag}</td></tr>')
    body = _plain_table("sanity", heads, "".join(rows))
    return _part("sanity", "Does it depend on the network?", text(sanity["said"]), body)


def _plain_table(name: str, heads: str, rows: str) -> str:
    """A table that scrolls where it is too wide."""
    table = f'<table class="plain-table"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}-title">{table}</div>'


def _part(name: str, title: str, said: str, body: str) -> str:
    return (
        f'<section class="part" id="{name}" aria-labelledby="{name}-title"><div class="lead"><h2 id="{name}-title">{title}</h2>'
        f"<p>{said}</p></div><div>{body}</div></section>"
    )


def meaning_html(metric: Mapping[str, Any]) -> str:
    """What a column says."""
    code = f"<code>{text(metric['name'])}</code>"
    means = text(metric["means"]) or '<span class="none">Nobody wrote down what it says.</span>'
    return f'<div class="figure"><dt>{caption_of(metric)}</dt><dd class="meaning">{means} {code}</dd></div>'


def failures_html(contents: Mapping[str, Any]) -> str:
    """A part with what failed, and why."""
    if not contents["failures"]:
        return _part(
            "failures",
            "Failures",
            "Rows for which no explanation could be made.",
            '<p class="none">None: every row has its numbers.</p>',
        )
    heads = "".join(
        f'<th scope="col">{word}</th>'
        for word in ("Rows", "Method", "Domain", "Condition", "Classifier", "Why", "Clips, such as")
    )
    rows = "".join(
        f'<tr><td class="number">{f["rows"]}</td>' + "".join(
            f'<td class="{k}"><bdi>{text(f[k])}</bdi></td>' for k in ("method", "domain", "condition", "classifier", "reason")
        )
        + f"<td>{text(', '.join(f['clips']))}</td></tr>"
        for f in contents["failures"]
    )  # fmt: skip
    said = f"{contents['failed']} of {contents['rows']} rows have no numbers. They are counted, and means are of the others."
    return _part("failures", "Failures", said, _plain_table("failures", heads, rows))


def listen_html(listen: Mapping[str, Any] | None) -> str:
    """A part with the clips that tell most, each with a link to its players."""
    if not listen or not listen.get("clips"):
        return ""
    href = text(quote(str(listen["href"]), safe="/"))
    cards = "".join(_card(href, clip) for clip in listen["clips"])
    said = (
        "Clips that tell most about the first methods of each panel: each opens the original, the kept and the removed sounds "
        "side by side."
    )
    return _part("listen", "Clips to hear", said, f'<ul class="clips">{cards}</ul>')


def _card(href: str, clip: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row"><bdi>{text(h["name"])}</bdi></th><td>{percent(h["kept"])}</td><td>{percent(h["removed"])}</td></tr>'
        for h in clip["heard"]
    )
    heads = '<thead><tr><td></td><th scope="col">kept</th><th scope="col">removed</th></tr></thead>'
    why, where = text(WHY.get(clip["why"], clip["why"])), f'<span class="rest">{text(clip["where"])}</span>'
    icon = '<svg class="icon" aria-hidden="true"><use href="#icon-go"/></svg>'
    return (
        f'<li class="clip-card {text(clip["why"])}"><p class="why">{why}</p>'
        f'<p class="what"><b><bdi>{text(clip["label"])}</bdi></b> <bdi>{text(clip["clip"])}</bdi>{where}</p>'
        f'<table class="plain-table small" aria-label="Probability of the target">{heads}<tbody>{rows}</tbody></table>'
        f'<a class="plain" href="{href}#clip-{int(clip["place"]) + 1}">{icon}Hear it</a></li>'
    )
