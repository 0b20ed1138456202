# Each target works as the very first command in a fresh clone: it needs Python 3.11-3.13, make, git.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# On shared machines two OpenMP threads are several times slower than one for small networks.
export OMP_NUM_THREADS ?= 1
export MPLBACKEND := Agg

.PHONY: demo test test-all lint study gpu-check clean

demo: $(VENV)/demo.stamp
	$(BIN)/arcface-fair demo

test: lint
	$(BIN)/python -m pytest -m "not slow" tests

test-all: lint
	$(BIN)/python -m pytest tests

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

study: $(VENV)/study.stamp
	$(BIN)/python -m studies $(ARGS)

gpu-check: $(VENV)/test.stamp
	$(BIN)/python benchmarks/gpu_check.py

$(VENV)/demo.stamp: pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[demo]"
	touch $@

$(VENV)/study.stamp: pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[study]"
	touch $@

$(VENV)/test.stamp: pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
