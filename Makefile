# The two commands: make suite, make test. Everything else is convenience.
.DEFAULT_GOAL := help
.PHONY: help suite test lab figures book notebooks clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := mini,open-clip,vlm,onnx,corpora,notebooks,test

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(READY): pyproject.toml constraints/cpu.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mmgap needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints/cpu.txt -e ".[$(EXTRAS)]"
	@touch $@

suite: $(READY)  ## Print the headline tables, then run every notebook; write figures/ and results/
	$(BIN)/mmgap report
	$(BIN)/mmgap gap --encoder mini-clip --corpus pictograms/style
	$(BIN)/mmgap table two-stage --encoder mini-clip
	$(BIN)/python scripts/notebooks.py execute --output-dir results/notebooks --jobs 2 --keep

test: $(READY)  ## Lint, types, all tests, every notebook under nbmake
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --junitxml=results/junit/tests.xml
	MMGAP_FAST=1 $(BIN)/python -m pytest -o addopts= -n 2 --nbmake --nbmake-timeout=3600 --junitxml=results/junit/notebooks.xml notebooks

lab: $(READY)  ## Open JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

notebooks: $(READY)  ## Rebuild the notebooks from notebooks/text and execute them in place
	$(BIN)/python scripts/notebooks.py build
	$(BIN)/python scripts/notebooks.py execute --jobs 2

figures: $(READY)  ## Draw every figure again
	$(BIN)/python scripts/notebooks.py execute --output-dir results/notebooks --jobs 2

book:  ## Build the site from the executed notebooks (book/_build/html)
	$(PYTHON) -m venv $(VENV)-book
	$(VENV)-book/bin/python -m pip install --quiet -c constraints/book.txt "jupyter-book<2"
	$(VENV)-book/bin/jupyter-book build . --config book/_config.yml --toc book/_toc.yml --path-output book

clean:  ## Remove the environment, results and caches of this folder
	rm -rf $(VENV) $(VENV)-book results book/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
