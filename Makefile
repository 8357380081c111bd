# One command each. Everything is set up by the target that needs it: an environment in the tree (.venv)
# from the locked requirements, downloads and builds cached in one folder outside of it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
CACHE  ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/bieber-tui
FUZZ_SECONDS ?= 60
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --cache-dir "$(CACHE)/pip" --disable-pip-version-check
export BIEBER_TUI_CACHE := $(CACHE)

.PHONY: help setup dev demo run check format test fuzz mutation screenshots proof bench rivals kills stops reliability soak audit lock ferretdb build clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.run: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "bieber-tui needs Python 3.11 or newer; $(PYTHON) is older. Install one, or call: make PYTHON=python3.12 ..."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing (Debian keeps it apart). Install it, then try again: apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock pyproject.toml
	$(PIP) install -q --require-hashes -r requirements-dev.lock
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.run  ## the environment to run the program
dev: $(VENV)/.dev  ## the environment to work on it

demo: setup  ## the main job over the built-in simulator: nothing to configure (DEMO_FLAGS="--duration 30")
	$(BIN)/python -m tui.cli demo $(DEMO_FLAGS)

run: setup  ## the capture itself (RUN_FLAGS="--topic music")
	$(BIN)/python -m tui.cli $(RUN_FLAGS)

check: dev  ## format, lint, types, layers, dependencies, dead code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry core tui
	$(BIN)/vulture

format: dev  ## let ruff rewrite the tree
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

ferretdb:  ## a real server that speaks MongoDB's protocol, built once into the cache (needs Go)
	@scripts/build-ferretdb

test: dev  ## every test, with branch coverage
	@scripts/test $(TEST_FLAGS)

screenshots: dev  ## screenshots/*.svg from the real app
	$(BIN)/python scripts/screenshots.py

$(VENV)/.fuzz: $(VENV)/.dev requirements-fuzz.lock
	$(PIP) install -q --require-hashes -r requirements-fuzz.lock
	@touch $@

fuzz: $(VENV)/.fuzz  ## coverage-guided fuzzing of decoders and parsers, figures in JSON (FUZZ_SECONDS=60 for each target)
	@nice $(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

$(VENV)/.mutation: $(VENV)/.dev requirements-mutation.lock
	$(PIP) install -q --require-hashes -r requirements-mutation.lock
	@touch $@

mutation: $(VENV)/.mutation ferretdb  ## do the tests see? small changes to what carries the promises (MUTATION_PARTS="journal")
	@nice $(BIN)/python -m tests.mutation.run $(MUTATION_PARTS)

proof: dev ferretdb  ## 20,000 posts, 5 % twice, two cuts, into a MongoDB-protocol server: all compared one by one
	$(BIN)/python scripts/proof.py

bench: dev ferretdb  ## how fast, against others and against the limit: docs/performance.md (QUICK=1: a light version)
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(BENCH_FLAGS)

rivals: dev  ## every fault of the simulator for bieber-tui, twarc2 and tweepy: docs/rivals.md (twelve minutes)
	$(BIN)/python -m tests.reliability.rivals --doc docs/rivals.md

kills: dev ferretdb  ## one capture killed at random moments, all compared after each (KILLS=300, KILLS_FLAGS="--seed 7")
	@$(BIN)/python -m tests.reliability.campaign --kills $(or $(KILLS),300) $(KILLS_FLAGS)

stops: dev ferretdb  ## how long a capture takes to end, in every state
	@$(BIN)/python -m tests.reliability.stops

soak: dev  ## millions of posts through the whole path, with faults, all compared and measured (POSTS=10000000)
	@$(BIN)/python -m tests.reliability.soak --posts $(or $(POSTS),10000000) $(SOAK_FLAGS)

reliability: dev ferretdb $(VENV)/.fuzz $(VENV)/.mutation  ## all of the above, figures into docs/reliability.md (KILLS, POSTS, FUZZ_SECONDS, PARTS)
	$(BIN)/python -m tests.reliability --kills $(or $(KILLS),300) --posts $(or $(POSTS),1000000) \
	  --fuzz-seconds $(FUZZ_SECONDS) $(PARTS)

audit: dev  ## known vulnerabilities in the locked dependencies; what cannot be looked up is a failure too
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock

lock: dev  ## choose and pin the newest allowed version of every dependency
	$(BIN)/uv pip compile -q pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	  --no-header --no-annotate -o requirements.lock
	$(BIN)/uv pip compile -q pyproject.toml --group dev --extra web --upgrade --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	  --no-header --no-annotate -o requirements-dev.lock
	$(BIN)/uv pip compile -q --group fuzz --upgrade --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	  --no-header --no-annotate -o requirements-fuzz.lock
	$(BIN)/uv pip compile -q --group mutation -c requirements-dev.lock --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-strip-extras --no-header --no-annotate -o requirements-mutation.lock

build: dev  ## wheel and source archive in dist/
	$(BIN)/uv build -q --no-build-isolation --python $(BIN)/python

clean:  ## everything that make made in the tree
	rm -rf $(VENV) dist build .coverage* htmlcov .mypy_cache .ruff_cache
