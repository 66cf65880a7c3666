"""Fill the tables of a page of results from the folders of finished studies.

    python benchmarks/study_results.py docs/results/truth.md --runs runs

A page names its tables, each between two comments; what stands between them is replaced:

    <!-- begin: truth-mixtures --pool condition --metrics truth | panels agreement | lines=15 -->
    <!-- end -->

First the study's folder below --runs and options of `otoscope table`, then which parts of the table are shown (panels,
agreement, chance, sanity, failures, caption), then how many lines of each panel at most (all, where nothing is said).
Blocks whose study is not below --runs are left as they are.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from functools import partial
from pathlib import Path

from otoscope.cli.table import leaderboard_options, table
from otoscope.report.leaderboard_text import sections
from otoscope.results import make_leaderboard, read_results

BLOCK = re.compile(r"(<!-- begin: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(order: str, runs: Path) -> str:
    """The Markdown that a block requests, with headings one level lower."""
    command, parts, limit = [*(part.strip() for part in order.split("|")), "", ""][:3]
    folder, *arguments = shlex.split(command)
    options = table.make_context("table", [str(runs / folder), *arguments]).params
    board = make_leaderboard(read_results(options["results"]), leaderboard_options(options))
    found = sections(board, options["pivot"], int(limit.removeprefix("lines=")) if limit else None)
    wanted = parts.split() or ["panels"]
    unknown = [part for part in wanted if part not in found]
    if unknown:
        sys.exit(f"{order}: unknown part {unknown[0]}; expected {', '.join(found)}")
    blocks = [block for name, section in found.items() if name in wanted for block in section]
    return "\n\n".join(f"#{block}" if block.startswith("#") else block for block in blocks) + "\n"


def study_of(order: str) -> str:
    """The study that a block names."""
    return shlex.split(order)[0]


def replaced(runs: Path, missing: set[str], block: re.Match[str]) -> str:
    """A block with its table made anew; one whose study is missing, as it was."""
    return block[0] if study_of(block[2]) in missing else f"{block[1]}\n{filled(block[2], runs)}\n{block[3]}"


def main() -> None:
    """Fill pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path, help="pages with blocks")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the studies' folders")
    args = parser.parse_args()
    for page in args.pages:
        text = page.read_text(encoding="utf-8")
        missing = {name for m in BLOCK.finditer(text) if not (args.runs / (name := study_of(m[2]))).exists()}
        new = BLOCK.sub(partial(replaced, args.runs, missing), text)
        page.write_text(new, encoding="utf-8")
        kept = f"; not in {args.runs}, left as they are: {', '.join(sorted(missing))}" if missing else ""
        print(f"{page}: tables filled{kept}")


if __name__ == "__main__":
    main()
