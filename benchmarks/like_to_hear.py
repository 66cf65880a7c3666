"""Tables and pictures of docs/results/like-to-hear.md from a finished study.

python benchmarks/like_to_hear.py RESULTS_FOLDER [--write docs/results/like-to-hear.md]
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

from otoscope.report.like_to_hear import sections

BEGIN, END = "<!-- begin: made by benchmarks/like_to_hear.py -->", "<!-- end -->"
PLOTS = {
    "cross": "Accuracy of every classifier (columns) on every sound (rows)",
    "levels": "Levels by third octave relative to the original and to the MSE-only control",
    "classes": "Levels by class relative to the MSE-only control",
    "frequencies": "Accuracy under low-pass and high-pass filters",
}


def text(folder: Path, images: str) -> str:
    """The tables, with the pictures after them."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    parts = [part.replace("## ", "### ", 1) if part.startswith("## ") else part for part in sections(results)]
    made = f"{results['cpus']} cores, {results['threads']} threads, {results['machine']}, {results['made']}."
    pictures = [f"![{said}]({images}/like-to-hear-{name}.png)" for name, said in PLOTS.items()]
    return "\n\n".join([made, *parts, "### Pictures", *pictures])


def main() -> None:
    """Print the tables, or write them between the marks of a page, and its pictures to the images folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    made = text(args.folder, "../images")
    if args.write is None:
        print(made)
        return
    page = args.write.read_text(encoding="utf-8")
    if BEGIN not in page or END not in page:
        sys.exit(f"{args.write} has no marks {BEGIN} ... {END}")
    head, rest = page.split(BEGIN)
    args.write.write_text(head + BEGIN + "\n\n" + made + "\n\n" + END + rest.split(END)[1], encoding="utf-8")
    images = args.write.resolve().parents[1] / "images"
    for name in PLOTS:
        (images / f"like-to-hear-{name}.png").write_bytes(small((args.folder / "plots" / f"{name}.png").read_bytes()))


def small(picture: bytes) -> bytes:
    """A PNG with a palette: a third of the size."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(out, "PNG", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    main()
