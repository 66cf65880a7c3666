# make demo    explain a made-up scene; open demo/report.html and listen
# make test    the whole test suite (make test-slow: the long ones)
# make check   lint, format, types, import order, docs
# make bench   speed and memory, as ratios (DATA=folder of ESC-10: training too)
PYTHON ?= python3
VENV := .venv
DATA ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest

.PHONY: demo test test-slow check docs bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.core
	$(BIN)/otoscope demo --out demo

test: $(VENV)/.dev
	$(PYTEST) -m "not slow" -n 2 --dist loadfile

test-slow: $(VENV)/.dev
	$(PYTEST) -m slow

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -q tests/test_architecture.py
	$(BIN)/mkdocs build --strict

docs: $(VENV)/.dev
	$(BIN)/mkdocs serve

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/studies.py
	$(BIN)/python benchmarks/prototypes.py
	$(BIN)/python benchmarks/auralisation.py speed
	$(BIN)/python benchmarks/zoo.py --data "$(DATA)"
	$(BIN)/python benchmarks/autoencoders.py --data "$(DATA)"

# torch first and by itself, else a package that needs it drags in another build.
$(VENV)/.core: pyproject.toml constraints.txt
	scripts/make-venv $(PYTHON) $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	scripts/make-browser
	$(PIP) -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) demo site .pytest_cache .mypy_cache .ruff_cache
