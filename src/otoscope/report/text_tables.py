"""Tables as text: the one writer of Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

RULES = {"left": "---", "right": "---:", "center": ":---:"}


def markdown_table(header: Sequence[object], rows: Sequence[Sequence[object]], align: Sequence[str] | None = None) -> str:
    """A Markdown table.

    Parameters
    ----------
    header : sequence
    rows : sequence of sequences
        Cells, shown by ``str``; bars are escaped.
    align : sequence of {"left", "right", "center"}, optional
        For each column; left by default.
    """
    rule = [RULES[side] for side in align or ["left"] * len(header)]
    lines = [[str(cell).replace("|", "\\|") for cell in line] for line in (header, rule, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
