"""The table of docs/results.md from the folders of finished runs.

    python benchmarks/results.py runs/mn-esc10 runs/sb_cnn-esc10 ... [--write docs/results.md]

A run's folder is called RECIPE-DATA, after the recipes that made it: `otoscope train RECIPE DATA
out=runs/RECIPE-DATA`; one that is called after a recipe alone (esc10-cnn) was made by that.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from otoscope.recipes.find import LIBRARY
from otoscope.report.text_tables import markdown_table
from otoscope.training import load_recipe

BEGIN, END = "<!-- begin: made by benchmarks/results.py -->", "<!-- end -->"
HEAD = ("Network", "Data", "Accuracy, test fold", "95 %", "Five folds", "Parameters", "Trained in", "Command")


def one_fold(folder: Path) -> dict[str, Any]:
    """Results of a run, or of its first fold."""
    for place in (folder / "model", folder / "fold-1" / "model"):
        if (place / "results.json").is_file():
            return json.loads((place / "results.json").read_text(encoding="utf-8"))
    sys.exit(f"{folder} holds no finished run")


def row(folder: Path) -> tuple[str, ...]:
    """One line of the table."""
    found = one_fold(folder)
    whole = folder / "results.json"
    folds = json.loads(whole.read_text(encoding="utf-8")) if whole.is_file() else None
    recipe, data = folder.name, ""
    if not (LIBRARY / f"{recipe}.yaml").is_file():
        recipe, _, data = folder.name.partition("-")
    command = f"otoscope train {recipe}" + (f" {data}" if data else "")
    teacher = found["recipe"]["teacher"]["model"]
    if teacher.endswith("/model") and data:  # an override; where a recipe says it, the recipe is enough
        command += " teacher.model=runs/mn-esc10/fold-1/model"
    written = load_recipe([recipe, *([f"data/{data}"] if data else [])]).model_dump(mode="json")
    for part in ("optimiser", "augment"):
        for key, value in found["recipe"][part].items():
            if key in written[part] and written[part][key] != value:
                command += f" {part}.{key}={value}"
    low, high = (100 * bound for bound in found["interval"])
    minutes = found["train_s"] / 60
    return (
        f"`{found['recipe']['model']['architecture']}`",
        f"{found['recipe']['data']['name']}, test {', '.join(map(str, found['recipe']['data']['test']))}",
        f"{100 * found['accuracy']:.1f} % of {found['clips']}",
        f"{low:.1f}–{high:.1f}",
        f"{100 * folds['accuracy']:.1f} ± {100 * folds['std']:.1f}" if folds else "",
        f"{found['parameters']:,}",
        f"{minutes:.1f} min",
        f"`{command}{' folds=all' if folds else ''}`",
    )


def main() -> None:
    """Print the table, or put it in its place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    table = markdown_table(HEAD, [row(folder) for folder in args.runs])
    if args.write is None:
        print(table)
        return
    before, rest = args.write.read_text(encoding="utf-8").split(BEGIN)
    args.write.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
