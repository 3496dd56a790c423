# Two commands matter: `make demo` and `make test`. Both set everything up from a clean clone.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STATIC := src/liqfield/server/static
WEB_SOURCES := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -print 2>/dev/null)

# Two things at a time where nothing hangs on their order; the output of each in one piece.
BESIDE := +@$(MAKE) --no-print-directory --jobs=2 --output-sync=target

.PHONY: help demo live replay test check check-python check-web bench soak wheel setup browser clean \
	kernels web-tests

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: setup  ## the terminal on the built-in market, offline
	$(BIN)/liqfield demo $(ARGS)

live: setup  ## the terminal on the real venues: make live ARGS="--markets BTC,ETH"
	$(BIN)/liqfield live $(ARGS)

replay: setup  ## the terminal on a recording: make replay ARGS="FILE..."
	$(BIN)/liqfield replay $(ARGS)

test:  ## everything CI runs
	$(BESIDE) setup browser
	$(BESIDE) kernels check-python check-web web-tests
	$(BIN)/pytest -m "not soak" -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check:  ## format, lint, types, layers, wire drift, web types
	$(BESIDE) setup
	$(BESIDE) check-python check-web

check-python: setup
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m liqfield.server.typescript --check web/src/wire/types.ts

check-web: setup
	cd web && npm run --silent check

web-tests: setup
	cd web && npm test --silent

kernels: setup
	$(BIN)/python -m tests.warm_kernels

bench: setup .venv-bench/.stamp  ## ratios against peers and limits, in one run
	PYTHONPATH=src .venv-bench/bin/python -m benchmarks.run $(ARGS)

soak: setup browser  ## long runs and fuzzing, with their figures
	$(BIN)/pytest -m soak -s $(ARGS)

wheel: setup  ## a wheel that needs no Node
	$(BIN)/python -m build --wheel --no-isolation

setup: $(VENV)/.stamp $(STATIC)/.stamp

$(VENV)/.stamp: requirements/dev.txt pyproject.toml
	tools/make_venv.sh $(VENV) requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv-bench/.stamp: requirements/bench.txt
	tools/make_venv.sh .venv-bench requirements/bench.txt
	touch $@

web/node_modules/.stamp: web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(STATIC)/.stamp: web/node_modules/.stamp $(WEB_SOURCES)
	cd web && npm run --silent build
	touch $@

browser:
	tools/browser.sh

clean:
	rm -rf $(VENV) .venv-bench web/node_modules web/dist build dist $(STATIC)
