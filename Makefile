# make demo   LO-TO splitting of NaCl from predicted Born charges: table and band structure
# make test   the whole test suite
# make lint   ruff and mypy
# make bench  time and memory of Z* beside the forces: docs/performance.md (some minutes)
#
# Each sets up .venv by itself, and again when pyproject.toml or constraints.txt change.
# On Linux the torch of PyPI brings gigabytes of CUDA libraries. For the CPU build instead:
#   make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
PIP_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt $(PIP_FLAGS)

.PHONY: demo test lint bench

demo: $(VENV)/.ready-demo
	$(BIN)/python examples/nacl_lo_to.py

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest

lint: $(VENV)/.ready-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.ready-demo
	$(BIN)/python benchmarks/vectorized.py
	$(BIN)/python benchmarks/speed.py

$(VENV)/.ready-demo: EXTRAS := sevennet
$(VENV)/.ready-test: EXTRAS := sevennet,test,train,ipi
$(VENV)/.ready-lint: EXTRAS := dev

$(VENV)/.ready-%: $(VENV)/.ready pyproject.toml
	$(INSTALL) --editable ".[$(EXTRAS)]"
	touch $@

# torch first: some packages want it there when they are built.
$(VENV)/.ready: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) torch
	touch $@
