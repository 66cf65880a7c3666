"""The shape of the code: import order, what `import otoscope` loads, twins of every registered thing, sizes, bans."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from otoscope.core import registry

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "otoscope"
FILES = sorted(SRC.rglob("*.py"))
TREES = {f: ast.parse(f.read_text(encoding="utf-8")) for f in FILES}
KINDS = ("method", "domain", "mask", "metric", "classifier", "architecture")

ROOMS = {
    "core": 0, "recipes": 1, "audio": 2, "spectral": 3, "masks": 4, "surgery": 4, "datasets": 4, "domains": 5,
    "classifiers": 6, "attribution": 7, "autoencoders": 7, "prototypes": 7, "metrics": 7, "explanation": 8, "auralisation": 9,
    "training": 9,     "studies": 10, "results": 11, "report": 12, "studio": 13, "cli": 14,
}  # fmt: skip

# What does not keep the rules yet, with the rule's section below. Entries go when their files are mended; none may be added.
PENDING: dict[str, set[str]] = {
    "circles": set(),
    "long modules": set(),
    "long functions": set(),
    "probing": set(),
    "class names": set(),
    "no test file": set(),
    "no source file": set(),
}


def where(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


# --- (1) imports go up the table only ---------------------------------------------------------------------------------


def imported(tree: ast.AST, package: str = "otoscope") -> list[tuple[int, str]]:
    """Line and absolute name of every import of otoscope, also late ones, for types only, relative ones and by string."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, a.name) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            found += [(node.lineno, f"{base}.{a.name}") for a in node.names]
        elif isinstance(node, ast.Call) and node.args and "import_module" in ast.dump(node.func):
            name = node.args[0]
            if isinstance(name, ast.JoinedStr):
                name = name.values[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                found.append((node.lineno, name.value))
    return [(line, name) for line, name in found if name.split(".")[0] == "otoscope"]


def back_edges(room: str, tree: ast.AST, package: str = "otoscope") -> list[str]:
    """Imports that a room may not make."""
    wrong = []
    for line, name in imported(tree, package):
        other = name.split(".")[1] if "." in name else ""
        if other == room or other == "__version__":
            continue
        if other not in ROOMS:
            wrong.append(f"line {line}: {name} (the top level hides where it goes; import the room itself)")
        elif ROOMS[other] >= ROOMS[room]:
            wrong.append(f"line {line}: {room} (row {ROOMS[room]}) imports {name} (row {ROOMS[other]})")
    return wrong


def test_every_room_is_on_the_table():
    rooms = {f.relative_to(SRC).parts[0] for f in FILES} - {
        "__init__.py",
        "__main__.py",
        "study.py",
    }  # study.py: an old name
    assert {r.removesuffix(".py") for r in rooms} == set(ROOMS)


@pytest.mark.parametrize("file", [f for f in FILES if f.parent != SRC], ids=lambda f: str(f.relative_to(SRC)))
def test_imports_go_up_the_table_only(file):
    package = ".".join(file.relative_to(SRC.parent).parts[:-1])
    wrong = back_edges(file.relative_to(SRC).parts[0], TREES[file], package)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("room", "code", "package"),
    [
        ("core", "from otoscope.audio import load_audio", "otoscope.core"),
        ("masks", "import otoscope.surgery.guard", "otoscope.masks"),
        ("attribution", "def f():\n    from otoscope.metrics import measure", "otoscope.attribution"),
        ("domains", "if TYPE_CHECKING:\n    from otoscope.classifiers import Classifier", "otoscope.domains"),
        ("datasets", "from otoscope.training import run", "otoscope.datasets"),
        ("audio", "from ..explanation import explain", "otoscope.audio"),
        ("audio", "from .. import explanation", "otoscope.audio"),
        ("audio", "from ...report import page", "otoscope.audio.deep"),
        ("report", "importlib.import_module('otoscope.cli.main')", "otoscope.report"),
        ("report", "import_module(f'otoscope.cli.{name}')", "otoscope.report"),
        ("spectral", "from otoscope import explain", "otoscope.spectral"),
        ("spectral", "import otoscope", "otoscope.spectral"),
    ],
)
def test_a_back_edge_is_found(room, code, package):
    assert len(back_edges(room, ast.parse(code), package)) == 1


@pytest.mark.parametrize(
    ("room", "code"),
    [
        ("cli", "from otoscope import __version__\nfrom otoscope.explanation import explain\nimport torch, os.path"),
        ("training", "from otoscope.datasets import esc50\nfrom . import run\nfrom .card import card"),
        ("domains", "from otoscope.domains.base import Domain\nfrom otoscope.masks import smooth"),
        ("core", "import importlib\nimportlib.import_module(name)"),
    ],
)
def test_what_is_allowed_is_not_found(room, code):
    assert back_edges(room, ast.parse(code), f"otoscope.{room}") == []


# --- (2) importing is free --------------------------------------------------------------------------------------------


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_import_is_free():
    heavy = ("torch", "numpy", "matplotlib", "soundfile", "soxr", "av", "scipy", "captum", "lightning", "click")
    assert fresh(f"import otoscope, sys; print([m for m in {heavy} if m in sys.modules])") == "[]\n"


def test_the_top_level_names_its_verbs_without_loading_them():
    out = fresh(
        "import otoscope, sys\nassert {'explain', 'wrap', 'load_audio', 'replay'} <= set(dir(otoscope))\n"
        "print('torch' in sys.modules)\n"
        "try:\n    otoscope.explian\nexcept AttributeError as e:\n    print(e)"
    )
    assert out == "False\nmodule 'otoscope' has no attribute 'explian'\n"


def test_every_public_name_exists():
    import otoscope

    assert sorted(otoscope._HOMES) == sorted(otoscope.__all__)
    for name in otoscope.__all__:
        assert getattr(otoscope, name) is not None
        assert getattr(otoscope, name).__module__.startswith(otoscope._HOMES[name])
    typed = {a.name for n in ast.walk(TREES[SRC / "__init__.py"]) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert typed - {"annotations", "TYPE_CHECKING", "Any"} == set(otoscope.__all__)


# --- (3) what is registered has its facts, its tests and its source ---------------------------------------------------

ENTRIES = [e for kind in KINDS for e in registry.entries(kind)]
NAMED = pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.kind}-{e.name}")
FACTS = {
    "method": {"needs": tuple, "signed": bool, "complete": bool, "deterministic": bool, "cost": str},
    "domain": {"feeds": str, "has_frequency": bool, "axes": str},
    "mask": {"binary": bool, "monotone": bool},
    "metric": {"short": str, "unit": str, "higher_is_better": bool, "of": str, "means": str},
    "architecture": {},
    "classifier": {"sample_rate": int, "classes": int, "multilabel": bool, "download": bool, "licence": str},
}


def twin(entry: registry.Entry) -> Path:
    """The file in which an entry is tested: its own for attribution methods and domains, its architecture's for published
    checkpoints, its module's for the others."""
    if entry.kind == "domain" or (entry.kind == "method" and entry.facts.get("gives") != "sound"):
        return ROOT / "tests" / {"method": "attribution", "domain": "domains"}[entry.kind] / f"test_{entry.name}.py"
    if "architecture" in entry.facts:
        entry = registry.get("architecture", entry.facts["architecture"])
    target = getattr(entry.target, "func", entry.target)
    room, *inner, module = target.__module__.split(".")[1:]
    return ROOT.joinpath("tests", room, *inner, f"test_{module}.py")


@NAMED
def test_everything_registered_has_a_test_file(entry):
    assert twin(entry).is_file(), f"{entry.kind} {entry.name} wants {twin(entry).relative_to(ROOT)}"


@NAMED
def test_facts_are_complete(entry):
    assert re.match(r"[A-Z0-9].+\.$", entry.summary), entry.summary
    for fact, kind in FACTS[entry.kind].items():
        assert type(entry.facts.get(fact)) is kind, fact
        assert kind is not str or entry.facts[fact] or fact in ("needs", "unit"), fact
    assert entry.family
    for p in entry.parameters:
        assert p.help, p.name
        assert p.type in (int, float, bool, str)
        assert p.check(p.default, entry.name) == p.default
        assert p.type not in (int, float) or None not in (p.low, p.high), f"{p.name} has no range"


@pytest.mark.parametrize("entry", registry.entries("method"), ids=lambda e: e.name)
def test_facts_of_methods(entry):
    assert registry.fitting_domains(entry.name)
    assert entry.facts.get("gives", "attributions") in ("attributions", "sound")
    assert entry.source
    passes = entry.facts["passes"](**entry.settings(None))
    assert isinstance(passes, int)
    assert (passes == 0) is (entry.family == "control")
    assert passes >= 0


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.source], ids=lambda e: f"{e.kind}-{e.name}")
def test_every_source_is_in_the_references(entry):
    bib = ROOT / "docs" / "references.bib"
    if not bib.is_file():
        pytest.skip("docs/references.bib is not written yet")
    keys = set(re.findall(r"^@\w+\{\s*([^,\s]+)\s*,", bib.read_text(encoding="utf-8"), re.M))
    assert set(re.split(r"[,;]\s*", entry.source)) <= keys


@pytest.mark.parametrize("kind", ["method", "mask", "metric"])
def test_what_comes_from_a_paper_names_it(kind):
    assert [e.name for e in registry.entries(kind) if not e.source] == []


# --- (4) bans ---------------------------------------------------------------------------------------------------------


def harmless(tree: ast.AST) -> set[int]:
    """Asserts that only tell the type checker that a local name, no argument, is not None."""
    found = set()
    for function in functions(tree):
        a = function.args
        arguments = {x.arg for x in [*a.posonlyargs, *a.args, *a.kwonlyargs]}
        for node in ast.walk(function):
            if isinstance(node, ast.Assert):
                wanted = re.fullmatch(r"(\w+) is not None", ast.unparse(node.test))
                found |= {id(node)} if wanted and wanted[1] not in arguments else set()
    return found


def banned(tree: ast.AST) -> list[tuple[int, str]]:
    """print calls, bare excepts and asserts on what came in."""
    found, allowed = [], harmless(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            found.append((node.lineno, "print"))
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append((node.lineno, "bare except"))
        elif isinstance(node, ast.Assert) and id(node) not in allowed:
            found.append((node.lineno, "assert"))
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SRC)))
def test_no_print_no_bare_except_no_assert(file):
    assert banned(TREES[file]) == []


def test_what_is_banned_is_found():
    code = "try:\n    print(1)\nexcept:\n    assert x\ntry:\n    y.print()\nexcept Exception:\n    pass"
    assert sorted(banned(ast.parse(code))) == [(2, "print"), (3, "bare except"), (4, "assert")]
    code = "def f(x):\n    y = g(x)\n    assert y is not None\n    assert x is not None\n    assert y > 0"
    assert banned(ast.parse(code)) == [(4, "assert"), (5, "assert")]


# --- (5) sizes --------------------------------------------------------------------------------------------------------


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


# Modules that may be longer, with the reason. An architecture is read as one thing, top down.
LONGER_MODULES: dict[str, str] = {}


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SRC)))
def test_modules_and_functions_are_small(file):
    name = str(file.relative_to(SRC))
    if name not in LONGER_MODULES and name not in PENDING["long modules"]:
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400
    long = {f"{name} {f.name}": body_lines(f) for f in functions(TREES[file]) if body_lines(f) > 40}
    assert set(long) <= PENDING["long functions"], long


def test_body_lines_leave_the_docstring_out():
    (function,) = functions(
        ast.parse('def f(\n    x,\n):\n    """One.\n\n    Two.\n    """\n    a = 1\n    return (\n        a)')
    )
    assert body_lines(function) == 3
    (function,) = functions(ast.parse('def f():\n    """Only words."""'))
    assert body_lines(function) == 0


# --- (6) no circles inside rooms --------------------------------------------------------------------------------------


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__")


def at_module_level(tree: ast.AST) -> ast.Module:
    """The tree without the bodies of functions: what runs, or is read by a type checker, when the module is imported."""
    kept = ast.Module(body=[], type_ignores=[])
    waiting = list(ast.iter_child_nodes(tree))
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            kept.body.append(node)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return kept


def edges(trees: dict[str, ast.AST], packages: set[str]) -> dict[str, set[str]]:
    """Module -> modules of its own room that it imports; ``from room import module`` goes to the module."""
    found: dict[str, set[str]] = {name: set() for name in trees}
    for name, tree in trees.items():
        package = name if name in packages else name.rpartition(".")[0]
        for _, target in imported(at_module_level(tree), package):
            while target and target not in trees:
                target = target.rpartition(".")[0]
            if target and target != name and target.split(".")[1:2] == name.split(".")[1:2]:
                found[name].add(target)
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which can be reached from every other."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for other in graph[waiting.pop()] - seen:
                seen.add(other)
                waiting.append(other)
        return seen

    reach = {name: reached(name) for name in graph}
    groups = {tuple(sorted(o for o in reach[n] if n in reach[o])) for n in graph if n in reach[n]}
    return [list(group) for group in sorted(groups)]


PACKAGES = {module_of(f) for f in FILES if f.name == "__init__.py"}


def test_no_circle_inside_a_room():
    found = circles(edges({module_of(f): TREES[f] for f in FILES if f.parent != SRC}, PACKAGES))
    left = [circle for circle in found if not PENDING["circles"] & set(circle)]
    assert not left, "\n".join(" <-> ".join(circle) for circle in left)


def test_a_circle_is_found():
    code = {
        "otoscope.a": "from otoscope.a.x import f",
        "otoscope.a.x": "if TYPE_CHECKING:\n    from otoscope.a import y",
        "otoscope.a.y": "from otoscope.a.x import g",
        "otoscope.a.z": "def f():\n    from otoscope.a.z2 import h",
        "otoscope.a.z2": "from otoscope.a.z import f",
    }
    graph = edges({name: ast.parse(text) for name, text in code.items()}, {"otoscope.a"})
    assert circles(graph) == [["otoscope.a.x", "otoscope.a.y"]]


# --- (7) domains have base classes, so nobody asks what they have ------------------------------------------------------


def probes(tree: ast.AST) -> list[tuple[int, str]]:
    """``hasattr(x, "name")`` and ``getattr(x, "name", default)`` where x is a domain or an analysis."""
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) >= 2):
            continue
        asks = node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3)
        owner = ast.unparse(node.args[0])
        if asks and re.search(r"(domain|analysis|background)$", owner):
            found.append((node.lineno, ast.unparse(node)))
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SRC)))
def test_domains_are_not_probed(file):
    if str(file.relative_to(SRC)) not in PENDING["probing"]:
        assert probes(TREES[file]) == []


def test_a_probe_is_found():
    code = "hasattr(inspected.analysis, 'settle')\ngetattr(domain, 'bind', None)\nhasattr(layer, 'weight')\ngetattr(domain, name)"
    assert [line for line, _ in probes(ast.parse(code))] == [1, 2]


# --- (8) a class name means one thing ---------------------------------------------------------------------------------


def test_class_names_are_unique():
    homes: dict[str, list[str]] = {}
    for file, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(file.relative_to(SRC)))
    twice = {name: files for name, files in homes.items() if len(files) > 1 and name not in PENDING["class names"]}
    assert not twice


# --- (9) tests mirror the source --------------------------------------------------------------------------------------

# Test files that have no source file of their own name, with the reason.
ACROSS = {
    "classifiers/test_classics.py": "facts that all convolutional classics share",
    "classifiers/test_places.py": "where the cells of layers lie, for every architecture",
    "cli/test_bad_input.py": "wrong input to every command",
    "docs/test_docs.py": "the documentation",
    "domains/test_promises.py": "the three promises, for every domain",
    "explanation/test_memory.py": "peak memory of the whole chain",
    "report/pages/test_explanation_browser.py": "the report in a browser",
    "report/pages/test_listening_browser.py": "the listening page in a browser",
    "report/pages/test_leaderboard_browser.py": "the table's page in a browser",
    "report/pages/test_atlas_browser.py": "the atlas in a browser",
    "studio/test_prototypes_browser.py": "the view of prototypes in a browser",
    "studio/test_atlas_browser.py": "the view of features in a browser",
    "surgery/test_frozen.py": "no room's method changes a model",
    "cli/test_catalogue.py": "the commands that are made from the registry",
}
# Source files that need no test file of their own, with the reason.
COVERED = {
    "audio/arrays.py": "tests/audio/test_load.py: arrays come in through load_audio",
    "audio/check.py": "tests/audio/test_load.py: what is refused",
    "audio/decode.py": "tests/audio/test_load.py: every format, truncated and damaged",
    "audio/encoded.py": "tests/audio/test_load.py: paths, bytes and open files",
    "audio/headers.py": "tests/audio/test_load.py: truncated files",
    "classifiers/architecture.py": "tests/classifiers/test_load.py: architectures by name",
    "classifiers/checkpoints.py": "tests/classifiers/test_weights.py: published files",
    "classifiers/describe.py": "tests/cli/test_models.py: what is printed",
    "classifiers/dymn_layers.py": "tests/classifiers/test_dymn.py: the dynamic layers against their slow twins",
    "classifiers/examine.py": "tests/classifiers/test_wrap.py: steadiness, silence and what is heard",
    "classifiers/trial.py": "tests/classifiers/test_wrap.py: lengths, numbers and return values",
    "classifiers/hf_check.py": "tests/classifiers/test_huggingface.py: mismatches are refused on load",
    "classifiers/hf_networks.py": "tests/classifiers/test_huggingface.py: one small network a family",
    "cli/columns.py": "tests/cli/test_main.py: tables and JSON of commands",
    "cli/options.py": "tests/cli/test_bad_input.py: what options refuse",
    "core/jsonable.py": "tests/explanation/test_explanation.py: records as JSON",
    "spectral/bands.py": "tests/studies/like_to_hear/test_measure.py: levels of bands",
    "explanation/artifacts.py": "tests/explanation/test_explanation.py: files are written whole or not at all",
    "explanation/batch.py": "tests/explanation/test_pipeline.py: clips, windows and results of the pipeline",
    "studies/estimate.py": "tests/studies/test_run.py: passes and seconds of a dry run",
    "studies/like_to_hear/listen.py": "tests/studies/like_to_hear/test_run.py: sounds of the listening page",
    "studies/like_to_hear/members.py": "tests/studies/like_to_hear/test_run.py: what is trained, and what is refused",
    "studies/like_to_hear/settings.py": "tests/studies/like_to_hear/test_run.py: recipes that are refused",
    "studies/like_to_hear/summary.py": "tests/studies/like_to_hear/test_measure.py: levels, similarity, cross table, intervals",
    "surgery/slopes.py": "tests/surgery/test_rescale.py: the rules made of these",
}


def mirrored() -> tuple[set[str], set[str]]:
    """Test files without source and source files without test, of rooms."""
    tests = {p.relative_to(ROOT / "tests").as_posix() for p in (ROOT / "tests").glob("*/**/test_*.py")}
    sources = {f.relative_to(SRC).as_posix() for f in FILES if f.parent != SRC and f.name != "__init__.py"}
    wanted = {str(Path(s).parent / f"test_{Path(s).name}"): s for s in sources}
    lonely = {t for t in tests if t not in wanted and t not in ACROSS}
    return lonely, {s for t, s in wanted.items() if t not in tests and s not in COVERED}


def test_every_test_file_has_its_source():
    lonely, _ = mirrored()
    assert lonely <= PENDING["no source file"], sorted(lonely)


def test_every_module_has_its_test_file():
    _, untested = mirrored()
    assert untested <= PENDING["no test file"], sorted(untested)


def test_reasons_name_what_is_there():
    for file, reason in COVERED.items():
        assert (SRC / file).is_file(), f"{file} is gone; remove its exception"
        assert (ROOT / reason.split(":")[0]).is_file(), reason
    for file in ACROSS:
        assert (ROOT / "tests" / file).is_file(), f"{file} is gone; remove its exception"


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda file: file.name)
def test_benchmarks_can_be_imported(file, monkeypatch):
    """Nobody runs them every day; what they import must still be there."""
    monkeypatch.syspath_prepend(str(file.parent))
    assert "main" in runpy.run_path(str(file), run_name="imported")
