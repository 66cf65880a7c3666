"""Tables as text: the one writer of Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

RULES = {"left": "---", "right": "---:", "center": ":---:"}


def markdown_table(
    header: Sequence[object], rows: Sequence[Sequence[object]], align: Sequence[str] | None = None
) -> str:
    """A Markdown table.

    Parameters
    ----------
    header : sequence
        Heads of the columns, shown by ``str``; bars are escaped.
    rows : sequence of sequences
        Cells, likewise.
    align : sequence of {"left", "right", "center"}, optional
        For each column; left by default.
    """
    rule = [RULES[side] for side in align or ["left"] * len(header)]
    lines = [[str(cell).replace("|", "\\|") for cell in line] for line in (header, rule, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def latex_table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A LaTeX ``table`` with the rules of booktabs; all texts are LaTeX. The first ``left`` columns are aligned to the left."""
    return "\n".join([
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{'l' * left + 'r' * (len(header) - left)}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
        "\n".join(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ])  # fmt: skip
