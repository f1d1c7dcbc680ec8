# Freshet from a bare machine: Python 3.11 or later and make are all that has to be there.
# Everything it installs goes into .venv, Kafka's jars into the user's cache.

PYTHON ?= python3
UV ?= uv
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test bench chaos fuzz soak hot lock format clean

# An environment whose interpreter is gone, or that was made in another folder, is made again.
ifneq ($(wildcard $(VENV)/.made),)
$(shell { [ "$$(cat $(VENV)/.made)" = "$$(pwd -P)" ] && $(BIN)/python -c ''; } >/dev/null 2>&1 || rm -f $(VENV)/.made)
endif

help:
	@echo "make setup   install everything into $(VENV) and fetch Kafka (once; later runs need no network)"
	@echo "make demo    set up, then show Freshet at work: Kafka, Redis, a worker, a shop of events"
	@echo "make test    set up, then ruff, mypy and the tests"
	@echo "make bench   measure throughput, latency and cost, beside stock Faust (a quarter of an hour)"
	@echo "make chaos   strike at a whole system a hundred times, and prove that every event counted once (10 minutes)"
	@echo "make fuzz    a million hostile records: each counted, or rejected with a reason (10 minutes)"
	@echo "make soak    ten million events through one worker, recounted exactly (half an hour or more)"
	@echo "make hot     what a hot user and a hot item cost the others"
	@echo "make format  let ruff format and sort the sources"
	@echo "make lock    write both lock files anew from pyproject.toml (needs uv)"
	@echo "make clean   remove $(VENV) and everything that tools left in this folder"

setup: $(VENV)/.ready

demo: setup
	@$(BIN)/freshet demo

# Two processes, for two cores: much of the time a test waits for servers and workers. Each has a Kafka and a Redis of its own.
# A file stays in one process, and files come in the order of their names, which mixes those that wait with those that compute.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile --no-loadscope-reorder

test: setup
	@echo "==> ruff check"
	@$(BIN)/python -m ruff check --quiet
	@echo "==> ruff format --check"
	@$(BIN)/python -m ruff format --quiet --check
	@echo "==> mypy and the tests, side by side"
	@$(BIN)/python -m mypy > $(VENV)/.types 2>&1 & types=$$!; \
		$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS); tests=$$?; \
		wait $$types; types=$$?; cat $(VENV)/.types; exit $$((tests || types))

# The slow campaigns; ARGS are theirs: make chaos ARGS='--faults 20 --seed 7'.
bench: setup
	@$(BIN)/freshet bench $(ARGS)

chaos: setup
	@$(BIN)/freshet chaos $(ARGS)

fuzz: setup
	@$(BIN)/python tests/fuzz.py $(ARGS)

soak: setup
	@$(BIN)/python -m benchmarks.soak $(ARGS)

hot: setup
	@$(BIN)/python -m benchmarks.hot $(ARGS)

format: setup
	@$(BIN)/python -m ruff check --quiet --fix --select I
	@$(BIN)/python -m ruff format --quiet

# `make lock ARGS=--upgrade` takes newer versions; without it the versions of the files stay where they still fit.
# The second file is what the container image needs: of the same versions, without the extras.
COMPILE = $(UV) pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock"
lock:
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: pip install uv, or make lock UV=/its/path" >&2; exit 1; }
	@printf 'setuptools>=80\nwheel\n' | $(COMPILE) --extra dev $(ARGS) pyproject.toml - -o requirements.lock > /dev/null
	@printf 'setuptools>=80\n' | $(COMPILE) -c requirements.lock pyproject.toml - -o requirements-runtime.lock > /dev/null
	@for file in requirements.lock requirements-runtime.lock; do echo "==> $$file: $$(grep -c '^[a-z]' $$file) packages"; done

clean:
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find recsys streams tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Each step is remembered by a file that is written when it has worked: what failed half-way is done again.
$(VENV)/.made:
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "$(PYTHON) is not here: install Python 3.11 or later, or name it: make PYTHON=/its/path" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Freshet needs Python 3.11 or later, this is $$("$(PYTHON)" -V 2>&1): install one, or name it: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "this Python cannot make environments: install its venv package (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "==> $(VENV): an environment of $$("$(PYTHON)" -V 2>&1)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@pwd -P > $@

$(VENV)/.packages: $(VENV)/.made requirements.lock
	@echo "==> packages of requirements.lock (about 200 MB, once)"
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.packages pyproject.toml
	@echo "==> freshet itself"
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.ready: $(VENV)/.installed
	@echo "==> Kafka and Redis"
	@$(BIN)/python -m streams.local
	@echo "==> compiling what is hot (a minute, once)"
	@$(BIN)/python -m streams.warmup
	@touch $@
