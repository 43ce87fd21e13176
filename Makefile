# Everything a contributor runs. Needs Python 3.11 or newer with venv; each target makes what it needs.
.DEFAULT_GOAL := help
.PHONY: help demo test check fix bench clean

PYTHON ?= $(shell command -v python3.13 || command -v python3.12 || command -v python3.11 || command -v python3)
BIN := .venv/bin

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: .venv/demo  ## the whole story on the embedded Alter, with examples/agents.yaml
	@$(BIN)/alter-sync demo --config examples/agents.yaml

test: .venv/dev  ## all tests, with branch coverage
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term

check: .venv/dev  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: .venv/dev  ## format, and mend what can be mended without thinking
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: .venv/dev  ## measurements, each a ratio taken in one run
	$(BIN)/python -m benchmarks

clean:  ## remove the environment and what tools leave behind
	rm -rf .venv .coverage* .mypy_cache .ruff_cache .hypothesis .import_linter_cache .alter-sync build dist

.venv/demo: pyproject.toml | .venv/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sandbox]'
	@touch $@

.venv/dev: pyproject.toml | .venv/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sandbox,dev]'
	@touch $@ .venv/demo

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "alter-sync needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@
