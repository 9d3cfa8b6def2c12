# Every target sets up what it needs in .venv, once; it is set up again when pyproject.toml changes.
# uv is used where it is installed, python3 -m venv and pip otherwise. Another Python: make test PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PYTEST := $(BIN)/python -m pytest -q
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test check long bench accept docs format coverage clean help

demo: $(READY) ## answer the first question: how long would 1e26 FLOP take on 24,576 H100s?
	@$(BIN)/sim howlong 1e26 24576xh100-sxm

test: $(READY) ## the fast suite, in parallel
	@HYPOTHESIS_PROFILE=ci $(PYTEST) -n auto --maxprocesses 8

check: $(READY) ## style, types and the direction of imports
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "badly formatted: run 'make format'" >&2; exit 1; }
	@$(BIN)/mypy
	@imports=$$($(BIN)/lint-imports) || { echo "$$imports"; exit 1; }; echo "$$imports" | tail -n 1

long: $(READY) ## everything, with 20 times as many generated examples
	@HYPOTHESIS_PROFILE=long $(PYTEST) -n auto --maxprocesses 8 -m "not bench"

bench: $(READY) ## speed and memory, one test at a time
	@$(PYTEST) -m bench --benchmark-enable

accept: $(READY) ## take the present results as the golden ones, and show what moved
	@$(PYTEST) -n auto --maxprocesses 8 --accept tests/golden tests/test_docs.py
	@git --no-pager diff --stat -- tests/golden README.md docs
	@echo "Write what moved, by how much and why, under 'Results change' in CHANGELOG.md."

docs: $(READY) ## the site, in build/docs/html; warnings are errors
	@$(BIN)/python docs/build.py build/docs

format: $(READY) ## lay out the code, mend what can be mended by itself
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

coverage: $(READY) ## branches of sim/ that no test reaches
	@$(BIN)/coverage erase
	@HYPOTHESIS_PROFILE=ci $(BIN)/coverage run -m pytest -q
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

clean: ## remove the environment and every cache
	@rm -rf .venv dist build htmlcov .benchmarks .coverage .coverage.* .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@echo "Setting up .venv (once; about a minute) ..." >&2
	@if command -v uv >/dev/null 2>&1; then \
	    uv venv --quiet --allow-existing --python '>=3.11' .venv && \
	    uv pip install --quiet --python $(BIN)/python --editable '.[all,dev,docs]'; \
	elif $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    $(PYTHON) -m venv .venv && \
	    $(BIN)/python -m pip install -qq --no-input --editable '.[all,dev,docs]'; \
	else \
	    echo "Python 3.11 or newer is needed; '$(PYTHON)' is not: make PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi
	@touch $@
