# Everything that a checkout can do. Needs nothing but Python 3.11 or later; the first target makes .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench example clean

help:
	@echo "make demo     the whole pipeline on the example database"
	@echo "make test     the tests"
	@echo "make check    ruff, mypy and the tests"
	@echo "make bench    the benchmarks, as a table"
	@echo "make example  make mad.db.example again from tests/example/"
	@echo "make clean    remove .venv, the demo's databases and what the tools left behind"

demo: $(VENV)/.base
	@$(BIN)/madetl demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q $(TESTS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q $(TESTS)

bench: $(VENV)/.dev
	OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 MKL_NUM_THREADS=2 $(BIN)/python -m tests.benchmarks

example: $(VENV)/.dev
	$(BIN)/python -m tests.make_example

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f madetl-demo.db madetl-demo-[0-9]*.db madetl-demo*.db-wal madetl-demo*.db-shm
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are touched last: what was interrupted half-way is begun again.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "madetl needs Python 3.11 or later; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.base: pyproject.toml | $(VENV)/.made
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/.base $@
