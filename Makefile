# Everything a newcomer types. Needs only Python 3.11 or 3.12 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-pythons check audit format bench bench-live bench-idle bench-world bench-decisions bench-prediction chaos lock clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: $(STAMP)  ## Build .venv with crossdock and its tools

$(STAMP): pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else \
	  f"Crossdock needs Python 3.11 or 3.12 (Bytewax has no later wheels), this is {v[0]}.{v[1]}: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (once; takes a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## Simulate a network, replay it, show actions with their reasons
	@$(BIN)/python -m flows.demo

test: setup  ## Run the tests, a sample of each kind of sweep among them (six minutes of CPU)
	$(BIN)/python -m pytest -m "not slow"

test-all: setup  ## Run all tests: the sweeps too, and faults of everything the engine stands on
	$(BIN)/python -m pytest

test-pythons: setup  ## Compare bytes with each other supported Python of the machine (a minute each, once)
	CROSSDOCK_PYTHONS=1 $(BIN)/python -m pytest tests/properties/test_golden.py -k python

check: setup  ## Lint, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

audit: setup  ## Look the packages of the image up in the public advisories
	@$(BIN)/python .ci/audit

format: setup  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

AGAINST ?=

bench: setup  ## Measure speed, hold costs to their budgets; AGAINST=REV: a commit to compare (a quarter of an hour)
	$(BIN)/python -m benchmarks.spine $(if $(AGAINST),--against $(AGAINST))

bench-live: setup  ## Measure the live engine on a real Kafka and Redis (a quarter of an hour)
	$(BIN)/python -m benchmarks.live

bench-idle: setup  ## Measure the CPU that idle processes take (five minutes)
	@$(BIN)/python -m benchmarks.idle

bench-world: setup  ## Measure the simulated world's pace and memory, and forks (five minutes)
	@$(BIN)/python -m benchmarks.world

bench-decisions: setup  ## Measure decisions: policies in the same worlds, and a bound (ten minutes)
	$(BIN)/python -m benchmarks.decisions

BENCH_STAMP := .venv/.installed-bench
DATA ?=

$(BENCH_STAMP): $(STAMP) benchmarks/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.txt
	@touch $@

bench-prediction: $(BENCH_STAMP)  ## Measure predictions on public data: make bench-prediction DATA=folder (half an hour)
	@test -n "$(DATA)" || { echo "which data? make bench-prediction DATA=folder; docs/measurements.md says what is in it"; exit 2; }
	@$(BIN)/python -m benchmarks.prediction $(DATA)

COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

chaos: setup  ## Kill, pause, starve, poison and resume many times (CROSSDOCK_KILLS, CROSSDOCK_HOSTILE)
	CROSSDOCK_KILLS=$${CROSSDOCK_KILLS:-200} CROSSDOCK_HOSTILE=$${CROSSDOCK_HOSTILE:-100000} \
	  $(BIN)/python -m pytest -s tests/kafka/test_kill.py tests/chaos

lock:  ## Renew the locked requirements from pyproject.toml
	$(COMPILE) --extra dev --output-file requirements.txt pyproject.toml
	$(COMPILE) --constraint requirements.txt --output-file docker/requirements.txt pyproject.toml
	$(COMPILE) --extra bench --constraint requirements.txt --output-file benchmarks/requirements.txt pyproject.toml

clean:  ## Remove what was built
	rm -rf .venv demo-output
