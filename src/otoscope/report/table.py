"""The page of a table of results: one HTML file to sort, to filter and to look at; nothing is computed here."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from otoscope.core import registry
from otoscope.core.errors import ParameterError
from otoscope.core.files import write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.report.embed import PIECES, asset, policy, script_of
from otoscope.report.pieces import text, tree
from otoscope.report.table_pieces import (
    agreement_html,
    caption_of,
    chance_html,
    failures_html,
    listen_html,
    meaning_html,
    panel_title,
    sanity_html,
    short_name,
    table_html,
    tau,
    title_of,
)
from otoscope.report.table_plots import interval_plot, scatter_plot

SCRIPTS = ("theme.js", "table.js")
NEEDED = (
    "title",
    "by",
    "panels",
    "metrics",
    "lines",
    "failures",
    "agreements",
    "caption",
    "about",
    "rows",
    "failed",
    "clips",
    "level",
)
MOST_PLOTTED = 60


@registry.register("view", "table", summary="The page of a table of results: to sort, to filter, with plots.")
def write_table_page(contents: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write the page.

    Parameters
    ----------
    contents : mapping
        The table as plain data, with ``caption`` (a list of sentences), for each metric ``digits`` (decimals that are shown;
        ``within`` where it is compared within a domain only), where they are known ``of_clips``, ``chance`` and ``sanity``,
        and, where there are sounds, ``listen``: ``href`` of the page with the players, relative to this one, and ``clips``,
        each with ``why`` (best, worst, disputed), ``clip``, ``label``, ``where``, ``place`` and ``heard``: for each method
        ``name``, and ``kept`` and ``removed``, the target's probabilities.
    path : path-like
        The HTML file.

    Returns
    -------
    Path

    Raises
    ------
    ParameterError
        If the contents lack something.
    WriteError
    """
    lacking = [key for key in NEEDED if key not in contents]
    if lacking:
        raise ParameterError(f"the page of a table needs {', '.join(NEEDED)}; it lacks {', '.join(lacking)}")
    style, script = asset("page.css") + asset("table.css"), script_of(SCRIPTS)
    panels = range(len(contents["panels"]))
    page = Template(asset("table.html")).substitute(
        csp=html.escape(policy(style, script)),
        style=style,
        script=script,
        title=text(contents["title"]),
        facts=text(_facts(contents)),
        filters=_filters(contents),
        panels="\n".join(_panel(contents, panel) for panel in panels),
        listen=listen_html(contents.get("listen")),
        agreement=agreement_html(contents) + chance_html(contents) + sanity_html(contents),
        columns="".join(meaning_html(metric) for metric in contents["metrics"]),
        failures=failures_html(contents),
        caption="\n".join(f"<p>{text(sentence)}</p>" for sentence in contents["caption"]),
        record=tree(to_jsonable(contents["about"])),
        **{name: asset(f"{name}.html").rstrip("\n") for name in PIECES if name in ("symbols", "brand")},
    )
    return write_text(path, page.encode("utf-8", "backslashreplace").decode("utf-8"))


def _facts(contents: Mapping[str, Any]) -> str:
    lost = f", {contents['failed']} failed" if contents["failed"] else ""
    of = f" of {contents['of_clips']}" if contents.get("of_clips", 0) > contents["clips"] else ""
    return f"{contents['clips']}{of} clips \u00b7 {contents['rows']} rows{lost}"


def _filters(contents: Mapping[str, Any]) -> str:
    """Radio buttons for each column of the panels that has several words."""
    out = []
    for column in contents["panels"][0] if contents["panels"] else ():
        words = list(dict.fromkeys(panel[column] for panel in contents["panels"]))
        if len(words) < 2:
            continue
        first = words[0] if len(contents["panels"]) > 2 else ""
        choices = [*((word, title_of(contents, column, word)) for word in words), ("", "All")]
        buttons = "".join(
            f'<label><input type="radio" name="{text(column)}" value="{text(word)}"{" checked" if word == first else ""}>'
            f"<span>{text(title)}</span></label>"
            for word, title in choices
        )
        out.append(f'<fieldset class="segmented"><legend>{text(column.capitalize())}</legend>{buttons}</fieldset>')
    return "\n".join(out)


# --- a panel --------------------------------------------------------------------------------------------------------


def _panel(contents: Mapping[str, Any], panel: int) -> str:
    lines = [line for line in contents["lines"] if line["panel"] == panel]
    names = [short_name(line) for line in lines]
    attributes = "".join(f' data-{text(column)}="{text(word)}"' for column, word in contents["panels"][panel].items())
    plots = "".join(_plots(contents, lines, names)) if len(lines) <= MOST_PLOTTED else ""
    return (
        f'<section class="panel" id="panel-{panel}"{attributes} aria-labelledby="panel-{panel}-title">'
        f'<h2 id="panel-{panel}-title">{text(panel_title(contents, panel))}</h2>'
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="panel-{panel}-title">{table_html(contents, lines)}</div>'
        f"{_scatters(contents, panel, lines, names)}"
        f'<details class="plots"{" open" if plots else " hidden"}><summary>Plots of each metric</summary>'
        f'<div class="grid-of-plots">{plots}</div></details></section>'
    )


# --- plots ----------------------------------------------------------------------------------------------------------


def _plots(contents: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    out = []
    for place, metric in enumerate(contents["metrics"]):
        drawn = interval_plot(metric, place, lines, names)
        out.append(f"<figure><figcaption>{caption_of(metric)}</figcaption>{drawn}</figure>")
    return out


def _scatters(contents: Mapping[str, Any], panel: int, lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Faithfulness against each metric of truth."""
    metrics = contents["metrics"]
    known = {metric["name"]: place for place, metric in enumerate(metrics)}
    first = next(
        (known[n] for n in ("heard_faithfulness", "faithfulness", "heard_difference", "difference") if n in known), None
    )
    truths = [place for place, metric in enumerate(metrics) if metric["truth"]]
    if first is None or not truths or len(lines) > MOST_PLOTTED:
        return ""
    out = []
    for truth in truths:
        pair, places = (metrics[first], metrics[truth]), (first, truth)
        apart = any(metric.get("within") for metric in pair)
        for domain in dict.fromkeys(line.get("domain", "") for line in lines) if apart else ("",):
            some = [k for k, line in enumerate(lines) if not apart or line.get("domain", "") == domain]
            if apart and sum(all(lines[k]["values"][p]["mean"] is not None for p in places) for k in some) < 2:
                continue
            key = (panel, pair[0]["name"], pair[1]["name"])
            found = [
                a
                for a in contents["agreements"]
                if (a["panel"], a["metric"], a["truth"]) == key and a.get("domain", "") in (domain, "")
            ]
            said = f' <span class="better">\u03c4 = {tau(found[0])}</span>' if found else ""
            title = f"{text(pair[0]['title'])} and {text(pair[1]['title'][:1].lower() + pair[1]['title'][1:])}"
            title += f", {text(domain)}" if domain else ""
            drawn = scatter_plot(pair, places, lines, names, some)
            out.append(f"<figure><figcaption>{title}{said}</figcaption>{drawn}</figure>")
    if not out:
        return ""
    head = '<details class="plots" open><summary>Faithfulness against the truth</summary>'
    return f'{head}<div class="grid-of-plots">{"".join(out)}</div></details>'
