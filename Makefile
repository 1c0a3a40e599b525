# The two commands of the README, and what developers use. Everything sets itself up.
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
PY := $(VENV)/bin/python
XVFB := xvfb-run -a -s "-screen 0 1600x1000x24"

.PHONY: help setup system demo test corpus lint bench screenshots clean

help:
	@echo "make demo    train a small model on synthetic slides and look at its gene map in napari"
	@echo "make test    run the whole test suite"
	@echo "make corpus  bad slides, hostile models and random damage: how many opened, were refused"
	@echo "make lint    ruff, mypy"
	@echo "make screenshots   play the scenes of the README's tour, and photograph them"
	@echo "make bench   speed, as ratios against named peers"

setup: system $(VENV)/.ready

system:
	@tools/system_packages.sh

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade "pip>=25.1"
	$(PY) -m pip install --quiet --constraint constraints.txt --editable ".[all]" --group dev
	@touch $@

demo: setup
	$(PY) examples/demo.py

test: setup
	env -u QT_QPA_PLATFORM OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile $(ARGS)

corpus: setup
	env -u QT_QPA_PLATFORM OMP_NUM_THREADS=1 $(PY) -m tests.corpus $(ARGS)

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: setup
	$(PY) -m pip install --quiet --constraint constraints.txt --group bench
	env -u QT_QPA_PLATFORM $(XVFB) $(PY) -m benchmarks tokens patches genemap overlay evidence patch_genes typeahead widgets drop pretrainstep encode alignstep loader

screenshots: setup
	env -u QT_QPA_PLATFORM $(PY) tools/screenshots.py

clean:
	rm -rf $(VENV) demo runs build dist
