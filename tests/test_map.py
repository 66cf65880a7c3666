"""CONTRIBUTING's map and the counts in README and docs are those of the tree, the registry and pyproject."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otoscope.core import registry
from test_architecture import ROOMS

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "otoscope"
NUMBERS = dict(zip(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), range(1, 11)))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """From a heading to the next heading of the same or a higher level."""
    level = len(title.split()[0])
    return re.split(rf"^#{{1,{level}}} ", text.split(f"\n{title}\n")[1], flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """Cells of a Markdown table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def rooms_table() -> dict[str, int]:
    table = section(read("CONTRIBUTING.md"), "## Where things live").split("###")[0]
    return {room: int(number) for number, names, _ in rows(table) for room in re.findall(r"`(\w+)/`", names)}


def test_the_rooms_of_the_map_are_the_folders():
    folders = {p.parent.name for p in SRC.glob("*/__init__.py")}
    assert set(rooms_table()) == folders


def test_the_order_of_the_map_is_that_of_the_imports():
    assert rooms_table() == ROOMS


QUESTIONS = rows(section(read("CONTRIBUTING.md"), "### Five questions"))


def test_there_are_five_questions():
    assert len(QUESTIONS) == 5


@pytest.mark.parametrize(("question", "answer", "files"), QUESTIONS, ids=[q[0] for q in QUESTIONS])
def test_the_answers_name_files_that_exist(question, answer, files):
    named = re.findall(r"`([\w/]+\.py)`", files)
    assert 1 <= len(named) <= 3
    assert answer
    for file in named:
        assert (SRC / file).is_file(), f"{question} names {file}"


def extras() -> set[str]:
    return set(
        re.findall(
            r"^(\w+) = ", read("pyproject.toml").split("[project.optional-dependencies]")[1].split("\n[")[0], re.M
        )
    )


def test_the_extras_of_the_docs_are_those_of_the_package():
    shown = {cell[0].strip("`") for cell in rows(section(read("docs/getting-started.md"), "### Extras"))}
    assert shown == extras()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/index.md", "docs/getting-started.md"])
def test_counts_are_those_of_the_registry(page):
    counts = {f"{kind}s": len(registry.names(kind)) for kind in ("method", "domain", "mask", "metric", "architecture")}
    counts["extras"] = len(extras())
    number = "|".join([*NUMBERS, r"\d+"])
    for said, what in re.findall(rf"(?i)\b({number}) ({'|'.join(counts)})\b", read(page)):
        assert (int(said) if said.isdigit() else NUMBERS[said.lower()]) == counts[what], f"{page}: {said} {what}"


def test_no_page_installs_from_an_index_that_has_no_otoscope():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        assert not re.search(r"pip install '?\"?otoscope", page.read_text(encoding="utf-8")), page
    assert not any(re.search(r"pip install '?otoscope", f.read_text(encoding="utf-8")) for f in SRC.rglob("*.py"))
