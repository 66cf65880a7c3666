"""A method, a domain and a metric of somebody else's package work everywhere, and no file of ours names them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

METHOD = '''
from typing import Annotated, Literal

from torch import Tensor

from otoscope.attribution import Problem
from otoscope.core.registry import Range, register


@register("method", "louder", family="control", needs=("placed_cells",), signed=False, source="adebayo2018sanity",
          cost="none", passes=lambda **_: 0)
def louder(
    problem: Problem, power: Annotated[float, Range(0.1, 9.0)] = 2.0, of: Literal["cell", "row"] = "cell"
) -> Tensor:
    """A power of what each cell holds.

    Parameters
    ----------
    problem : Problem
    power : float in [0.1, 9]
        Exponent of the amplitude. Two is the energy.
    of : {"cell", "row"}
        Whose amplitude counts.

    Returns
    -------
    Tensor (batch, freq, frame)

    Notes
    -----
    Source: adebayo2018sanity.
    """
    found = problem.inspected.analysis.amplitude()
    return (found if of == "cell" else found.mean(2, keepdim=True).expand_as(found)) ** power
'''

DOMAIN = '''
from typing import Annotated

from otoscope.core.registry import Range, register
from otoscope.domains import Analysis, Domain
from otoscope.domains.base import regular_grid
from otoscope.domains.stft import StftAnalysis


@register("domain", "octaves", family="spectrogram", feeds="waveform", has_frequency=True, axes="Hz, s")
class Octaves(Domain):
    """Few wide bands.

    Parameters
    ----------
    rows : int in [1, 64]
        Number of bands.
    """

    name = "octaves"

    def __init__(self, rows: Annotated[int, Range(1, 64)] = 4):
        self.rows, self.settings = rows, {"rows": rows}

    def grid(self, n_samples, listener):
        return regular_grid(self.name, "mel", self.rows, 100.0, n_samples, listener.sample_rate)

    def analyse(self, waveform, listener) -> Analysis:
        return StftAnalysis(waveform, listener.sample_rate, self.grid(waveform.shape[-1], listener))
'''

METRIC = '''
from typing import Annotated

from otoscope.core.registry import Range, register


@register("metric", "margin_kept", family="faithfulness", of="scores", short="Margin", unit="", higher_is_better=True,
          low=-1.0, high=1.0, means="What the kept sound has above a bar.", source="parekh2022l2i")
def margin_kept(original: float, kept: float, bar: Annotated[float, Range(0.0, 1.0)] = 0.25) -> float:
    """Probability of the target on the kept part minus a bar.

    Parameters
    ----------
    original, kept : float in [0, 1]
    bar : float in [0, 1]
        What is subtracted.

    Notes
    -----
    Source: parekh2022l2i.
    """
    return kept - bar
'''

CLI = "import otoscope.cli; otoscope.cli.main()"

STUDY = """
name: plugged
seed: 1
threads: 1
target: predicted
data: {{name: "scenes,clips=4,seconds=0.5,sample_rate=8000,folds=2", root: {root}}}
classifiers:
  ears: {{model: "worlds:band_energy"}}
domains: [octaves, time]
methods:
  louder: {{}}
  louder_rows: {{method: "louder,power=1,of=row", domains: ["octaves,rows=3"]}}
  gradient: {{}}
masks: ["topk:0.3"]
"""


@pytest.fixture(scope="module")
def plugged(tmp_path_factory):
    """`plugged(arguments)`: what a fresh process prints that finds the package, through its entry point alone."""
    place = tmp_path_factory.mktemp("site")
    package, about = place / "theirs", place / "theirs-1.0.dist-info"
    package.mkdir()
    about.mkdir()
    (package / "__init__.py").write_text(
        "from otoscope.core.registry import import_modules\n\nimport_modules(__name__, __path__)\n"
    )
    for name, text in (("methods", METHOD), ("domains", DOMAIN), ("metrics", METRIC)):
        (package / f"{name}.py").write_text(text)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[otoscope.plugins]\ntheirs = theirs\n")
    paths = [str(place), str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "docs"), os.environ.get("PYTHONPATH", "")]
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in paths if p),
        "OTOSCOPE_DOCS": "theirs",
        "OMP_NUM_THREADS": "1",
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, env=env, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.place = place
    return run


def test_explain_takes_the_method_the_domain_and_the_metric(plugged):
    code = """
import json
import numpy as np
import otoscope
from otoscope.core import registry
from worlds import band_energy

sound = np.random.default_rng(0).standard_normal(4000).astype(np.float32) / 10
made = otoscope.explain(sound, band_energy(), sample_rate=8000, method="louder,power=3", domain="octaves,rows=5")
entry = registry.get("method", "louder")
print(json.dumps({
    "shape": made.attribution.grid.shape[0], "method": made.attribution.method, "margin": made.metrics()["margin_kept"],
    "kept": float(made.scores.kept[made.scores.original.argmax()]), "domains": registry.fitting_domains("louder"),
    "fits": "octaves" in registry.fitting_domains("grad_cam"), "help": [p.help for p in entry.parameters],
    "hear": "octaves" in registry.fitting_domains("like-to-hear"),
}))
"""
    found = json.loads(plugged("-c", code))
    assert found["shape"] == 5
    assert "louder" in found["method"]
    assert found["margin"] == pytest.approx(found["kept"] - 0.25, abs=1e-6)
    assert set(found["domains"]) == {"stft", "mel", "time", "features", "superpixels", "octaves"}
    assert found["fits"]
    assert found["hear"]
    assert found["help"] == ["exponent of the amplitude", "whose amplitude counts"]


def test_a_study_and_its_table_have_rows_and_a_column(plugged, tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY.format(root=tmp_path / "scenes"))
    out = tmp_path / "out"
    plugged("-c", CLI, "study", str(tmp_path / "study.yaml"), f"out={out}", "--device", "cpu")
    text = plugged("-c", CLI, "table", str(out), "--metrics", "margin_kept,faithfulness", "--format", "md")
    assert "Margin" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert any("louder" in row and "octaves" in row for row in rows), text
    assert any("louder,power=1" in row and "octaves,rows=3" in row for row in rows), text


def test_the_commands_and_the_docs_list_them(plugged):
    assert "louder" in plugged("-c", CLI, "methods")
    assert "octaves" in plugged("-c", CLI, "domains")
    code = """
import make_pages
pages = make_pages.generated_pages()
print(pages["methods/louder.md"])
print(make_pages.TABLES["methods"](), make_pages.TABLES["domains"](), make_pages.TABLES["metrics"]())
"""
    text = plugged("-c", code)
    assert "| `power` | float | `2.0` | 0.1 to 9 | Exponent of the amplitude. Two is the energy. |" in text
    for name in ("[`louder`](methods/louder.md)", "| `octaves` |", "| `margin_kept` | Margin |"):
        assert name in text
