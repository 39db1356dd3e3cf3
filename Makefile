# Run from a fresh clone: `make demo`, `make test`. `make` alone says what there is.
# PYTHON=... chooses the interpreter. DOCKER=install installs an engine without asking (root, Debian or Ubuntu);
# DOCKER=none runs the demo in the process sandbox.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check
WORKERS ?= 2
# Tests start hundreds of processes: where bytecode is not kept, each compiles the whole of runner anew.
export PYTHONDONTWRITEBYTECODE :=
SANDBOX := $(if $(filter none,$(DOCKER)),--sandbox process)

.PHONY: help setup demo test check bench test-backends test-long test-fresh test-crash test-pythons test-mutants fuzz image engine constraints clean

help: ## Say what there is
	@echo "First time here: make demo"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up: each stamp is made once, and again when what it depends on changes ---

# Scripts in an environment name its folder: one that was moved, or whose Python is gone, is made anew.
ifneq ($(shell test -x $(BIN)/python && cat $(VENV)/.python 2>/dev/null),$(CURDIR))
$(shell rm -f $(VENV)/.python)
endif

$(VENV)/.python:
	@python="$$(.ci/python)"; \
	echo "making $(VENV) with $$python" >&2; \
	"$$python" -m venv --clear $(VENV); \
	echo "$(CURDIR)" > $@

$(VENV)/.runtime: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing runner and what it needs into $(VENV)" >&2
	@$(PIP) install --constraint constraints.txt --config-settings editable_mode=compat --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "installing what tests and checks need" >&2
	@$(PIP) install --constraint constraints.txt --config-settings editable_mode=compat --editable '.[dev]'
	@touch $@

setup: $(VENV)/.dev ## Make .venv with all that tests and checks need

engine: ## See which Docker engine answers; offer to install one where there is none
	@.ci/engine

image: $(VENV)/.runtime engine ## Build the sandbox image from the Python of .venv
	@$(BIN)/runner image build

# --- what a person runs ---

demo: $(VENV)/.python engine $(VENV)/.runtime ## Run the demo on this machine's Python: the hardest modules to change, and what they promise
	@$(BIN)/runner run examples/demo/hardest_modules.py --policy policies/demo.yaml --json $(SANDBOX) \
	  | $(BIN)/python examples/demo/show.py $(SANDBOX)

test: $(VENV)/.python engine $(VENV)/.dev ## Run the tests, those in Docker included
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/.dev ## Lint, types, and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(VENV)/.dev engine ## Measure; a table here, JSON in build/bench.json
	@mkdir -p build
	@$(BIN)/python -m benchmarks --json build/bench.json

# --- long forms of what `make test` does briefly ---

test-backends: ## Test the backends with heavy libraries, each in an environment of its own; BACKENDS_SECONDS bounds it
	@.ci/backends

test-long: $(VENV)/.dev engine ## Run the tests with every case of which `make test` takes some: whole corpus in both sandboxes, all walks
	@RUNNER_LONG=all $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-fresh: $(VENV)/.dev engine ## Clone HEAD elsewhere, run `make demo` there, look at time and output
	@$(BIN)/python -m pytest -s tests/integration/fresh_clone_long.py

test-crash: $(VENV)/.dev engine ## Kill the host at 200 moments, around each kind of event, and after every event
	@RUNNER_CRASH_POINTS=200 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/integration/test_crash*.py

test-pythons: engine ## Run the suite under each tested Python that is here; PYTHONS="..." names more
	@.ci/pythons $(WORKERS)

test-mutants: $(VENV)/.dev ## Replay every small change of the corpus against its records, and forged journals
	@RUNNER_MUTANTS=all RUNNER_FORGERIES=all $(BIN)/python -m pytest -n $(WORKERS) -rP \
	  tests/scripts/test_mutations.py tests/unit/test_replay_hostile.py

fuzz: $(VENV)/.dev ## Feed random bytes to whatever reads bytes
	@RUNNER_FUZZ_EXAMPLES=20000 $(BIN)/python -m pytest tests/fuzz

constraints: ## Renew constraints.txt, and those of heavy backends, from new environments
	@python="$$(.ci/python)"; folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; \
	"$$python" -m venv "$$folder/venv"; \
	"$$folder/venv/bin/python" -m pip --quiet --no-input --disable-pip-version-check install '.[dev]'; \
	{ sed -n '/^#/p' constraints.txt; \
	  "$$folder/venv/bin/python" -m pip --disable-pip-version-check freeze --all --exclude pip --exclude spawn-runner; } > "$$folder/new"; \
	cp "$$folder/new" constraints.txt
	@.ci/backends constraints

clean: ## Remove .venv and everything built
	@rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
