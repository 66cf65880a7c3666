"""Fill the tables of a page of results from the folders of finished studies.

    python benchmarks/study_results.py docs/results/truth.md --runs runs

A page says which tables it holds, each between two comments; what stands between them is made again:

    <!-- begin: truth-mixtures --pool condition --metrics truth | panels agreement | lines=15 -->
    <!-- end -->

First the study's folder below --runs and options of `otoscope table`, then which parts of the table are shown (panels,
agreement, chance, sanity, failures, caption), then how many lines of each panel at most (all, where nothing is said).
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from pathlib import Path

from click.testing import CliRunner

from otoscope.cli.table import table

BLOCK = re.compile(r"(<!-- begin: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
HEADS = {
    "## Does it rank as truth does?": "agreement",
    "## What chance gets": "chance",
    "## Does it depend on the network?": "sanity",
    "## Failures": "failures",
}


def made(order: str, runs: Path) -> str:
    """The Markdown that a block asks for."""
    asked, parts, limit = [*(part.strip() for part in order.split("|")), "", ""][:3]
    folder, *options = shlex.split(asked)
    done = CliRunner().invoke(table, [str(runs / folder), *options, "--format", "md"])
    if done.exit_code:
        sys.exit(f"otoscope table {asked}: {done.output or done.exception}")
    most = int(limit.removeprefix("lines=")) if limit else sys.maxsize
    return "\n\n".join(shown(done.stdout.strip(), parts.split() or ["panels"], most)) + "\n"


def shown(text: str, wanted: list[str], most: int) -> list[str]:
    """The parts of a table that are wanted; headings one level lower, for they stand below one of the page."""
    *parts, caption = text.split("\n\n")
    found, section = [], "panels"
    for part in parts[1:]:
        if part.startswith("## "):
            section = HEADS.get(part, "panels")
        if section not in wanted:
            continue
        if part.startswith("#"):
            found.append(f"#{part}")
        else:
            lines = part.splitlines()
            found.append("\n".join(lines[: most + 2] if section == "panels" and lines[0].startswith("|") else lines))
    return [*found, caption] if "caption" in wanted else found


def main() -> None:
    """Fill pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path, help="pages with blocks")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the studies' folders")
    asked = parser.parse_args()
    for page in asked.pages:
        text = page.read_text(encoding="utf-8")
        filled, n = BLOCK.subn(lambda m: f"{m[1]}\n{made(m[2], asked.runs)}\n{m[3]}", text)
        page.write_text(filled, encoding="utf-8")
        print(f"{page}: {n} tables")


if __name__ == "__main__":
    main()
