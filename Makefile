# Everything a contributor runs. Needs Python 3.11 or newer with venv; each target makes what it needs.
.DEFAULT_GOAL := help
.PHONY: help demo test faults mutants check fix bench screenshot clean

# The first interpreter that runs and is new enough; a name on the path alone may be a shim for nothing.
NEW_ENOUGH := import sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14; do \
  if $$python -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then echo $$python; break; fi; done)
BIN := .venv/bin

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv/demo  ## the whole story on the embedded Alter, with examples/agents.yaml
	@$(BIN)/alter-sync demo --config examples/agents.yaml

test: .venv/dev  ## all tests, with branch coverage
	$(BIN)/python -m pytest -n 3 --cov --cov-report=term

faults: .venv/dev  ## every fault plan, about forty minutes; ALTER_SYNC_SEED=N draws others
	ALTER_SYNC_FAULTS=all $(BIN)/python -m pytest -n 2 --timeout 900 tests/faults

screenshot: .venv/dev  ## docs/html-report.png anew, in headless Chromium
	$(BIN)/python -m tests.screenshot

mutants: .venv/dev  ## changes the decisions about keys one by one; the tests have to notice
	rm -rf mutants && $(BIN)/python -m tests.mutants

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
	rm -rf .venv mutants .coverage* .mypy_cache .ruff_cache .hypothesis .import_linter_cache .alter-sync build dist

.venv/demo: pyproject.toml | .venv/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/dev: pyproject.toml | .venv/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/demo

.venv/python:
	@$(or $(PYTHON),false) -c '$(NEW_ENOUGH)' \
	  || { echo "alter-sync needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@
