"""Which method, domain and mask to take: every combination on ESC-10's fold 1 with esc10-mn, judged by what is heard.

    python benchmarks/choosing.py ESC10_FOLDER OUT.jsonl [--clips N] [--methods a,b] [--domains a;b] [--masks a;b]

One JSON line a clip, method, domain and mask; a combination whose lines are there already is not run again. Then a
Markdown table of medians and means is printed: probability of the predicted class on the kept and the removed sound as
written and read back, their difference, mask size, seconds a clip.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

import otoscope
from otoscope.audio import open_audio
from otoscope.core import registry
from otoscope.datasets import load_esc50
from otoscope.explanation.request import make_request
from otoscope.explanation.run import explain_sources
from otoscope.masks import to_mask

DOMAINS = "stft;mel;time;features"
MASKS = "positive;binary;topk:0.3;positive:topk:0.3;energy:0.8;minmax"


def chosen_clips(root: str, per_class: int) -> list[Path]:
    """The first clips of each class in fold 1."""
    examples = load_esc50(root, esc10=True).folds([1]).examples
    by_class: dict[str, list[Path]] = defaultdict(list)
    for e in examples:
        by_class[e.label].append(e.path)
    return [path for paths in by_class.values() for path in sorted(paths)[:per_class]]


def measure(
    model: otoscope.Classifier, paths: list[Path], method: str, domain: str, masks: list[str], seed: int
) -> list[dict]:
    """Rows of one method and domain over all clips and masks."""
    request = make_request(method, domain, masks[0], None, seed, 10)
    sources = [open_audio(p) for p in paths]
    started = time.perf_counter()
    found = explain_sources(sources, model, request)
    seconds = (time.perf_counter() - started) / len(paths)
    rows = []
    for path, e in zip(paths, found, strict=True):
        for mask in masks:
            again = dataclasses.replace(e, mask=to_mask(e.attribution, mask))
            heard = again.heard.of(e.target.index)
            size = again.mask.size
            rows.append(
                {
                    "clip": path.name,
                    "method": method,
                    "domain": domain,
                    "mask": mask,
                    **heard,
                    "size": size,
                    "seconds": seconds,
                }
            )
    return rows


def table(rows: list[dict]) -> str:
    """Means over clips, best difference first."""
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["method"], row["domain"], row["mask"]].append(row)
    lines = []
    for key, members in groups.items():
        mean = {k: float(np.mean([m[k] for m in members])) for k in ("kept", "removed", "size", "seconds")}
        trusted = np.mean([m["kept"] >= 0.5 * m["original"] and m["removed"] < 0.5 * m["original"] for m in members])
        lines.append((mean["kept"] - mean["removed"], key, mean, float(trusted), len(members)))
    out = [
        "| method | domain | mask | kept | removed | difference | both hold | size | s/clip | clips |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for difference, key, m, trusted, n in sorted(lines, reverse=True):
        shares = f"{difference:.3f} | {100 * trusted:.0f} %"
        numbers = f"{m['kept']:.3f} | {m['removed']:.3f} | {shares} | {m['size']:.3f} | {m['seconds']:.2f} | {n}"
        out.append(f"| {' | '.join(key)} | {numbers} |")
    return "\n".join(out)


def main() -> None:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=2, help="a class")
    parser.add_argument("--methods", default=None)
    parser.add_argument("--domains", default=DOMAINS)
    parser.add_argument("--masks", default=MASKS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="esc10-mn")
    a = parser.parse_args()
    rows = [json.loads(line) for line in a.out.read_text().splitlines()] if a.out.exists() else []
    paths, masks = chosen_clips(a.root, a.clips), a.masks.split(";")
    model = otoscope.load_classifier(a.model)
    done = {(r["method"], r["domain"], r["mask"], r["clip"]) for r in rows}
    for method in (a.methods or ";".join(registry.names("method"))).split(";"):
        for domain in a.domains.split(";"):
            missing = [m for m in masks if any((method, domain, m, p.name) not in done for p in paths)]
            if missing:
                new = measure(model, paths, method, domain, missing, a.seed)
                rows += new
                with a.out.open("a") as file:
                    file.writelines(json.dumps(r) + "\n" for r in new)
                print(method, domain, f"{new[0]['seconds']:.2f} s a clip", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
