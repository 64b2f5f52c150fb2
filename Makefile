# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-all check audit docs bench examples clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	touch $@

demo: $(VENV)/.installed  ## The main job on data that ships with scikit-learn.
	$(BIN)/metabalance demo --out demo-run

test: $(VENV)/.installed  ## The fast suite.
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"
	$(BIN)/python -m pytest --doctest-modules src/metabalance

test-all: $(VENV)/.installed  ## Everything, the long tests included.
	$(BIN)/python -m pytest -n $(WORKERS)
	$(BIN)/python -m pytest --doctest-modules src/metabalance

check: $(VENV)/.installed  ## Lint, format and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(VENV)/.installed  ## Known vulnerabilities of what is pinned; needs the network. --strict: a skipped look-up is no all-clear.
	$(BIN)/pip-audit --strict --requirement constraints.txt --disable-pip --no-deps

docs: $(VENV)/.installed  ## Regenerates the method index and the table of strategies.
	$(BIN)/metabalance methods --markdown > docs/methods.md
	$(BIN)/metabalance methods --strategies --markdown > docs/strategies.md

bench: $(VENV)/.installed  ## Side by side with peers, as ratios; writes docs/results/speed.md.
	$(BIN)/python benchmarks/run.py

$(VENV)/.examples: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev,examples]'
	touch $@

examples: $(VENV)/.examples  ## All of examples/, one after the other.
	set -e; for example in examples/*.py; do echo "-- $$example"; $(BIN)/python -W error::UserWarning $$example > /dev/null; done

clean:
	rm -rf $(VENV) build dist *.egg-info demo-run
