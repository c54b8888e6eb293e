# Stillhouse. `make run` and `make test` are all that most people need; `make help` lists the rest.
# PYTHON=python3.12 chooses an interpreter, PORT=8600 another port, WORKERS=4 more test processes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
RUN_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
DECLARED := pyproject.toml constraints.txt
# Every script, even where one before it misses its limit; which ones did stands at the end.
all_of = missed=; for file in $(1); do echo "== $$file"; $(PY) $$file $(ARGS) || missed="$$missed $$file"; done; \
	if [ -n "$$missed" ]; then echo "missed:$$missed" >&2; exit 1; fi
SCRIPTS = $(sort $(shell grep -l '__main__' benchmarks/*.py 2>/dev/null))

# One compute thread a process: two warm one-thread workers beat one process with two threads (docs/architecture.md).
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_NO_INPUT = 1

# A stamp holds the folder that it was made in, so that a checkout which was moved or copied is installed again.
ifneq ($(shell cat $(RUN_STAMP) 2>/dev/null),$(CURDIR))
$(RUN_STAMP): moved
endif
ifneq ($(shell cat $(DEV_STAMP) 2>/dev/null),$(CURDIR))
$(DEV_STAMP): moved
endif

.PHONY: help install install-dev run test lint format types bench evidence catalogue pictures screenshots clean moved

help:  ## this list
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(RUN_STAMP)  ## what the app needs, into .venv (3.2 GB to download, 6.7 GB on disk, once)

install-dev: $(DEV_STAMP)  ## and what tests, lint and type checks need

run: install  ## install where needed, serve the app on 127.0.0.1 and open a browser
	@$(PY) -m engine app $(if $(PORT),--port $(PORT))

test: install-dev  ## all tests, two processes at most
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: install-dev  ## style, imports, likely mistakes
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: install-dev  ## let ruff mend what it can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: install-dev  ## mypy, strict
	@$(PY) -m mypy

catalogue: install  ## write engine/catalogue.json from the plug-ins
	@$(PY) -m engine catalogue

pictures: install  ## compute what each method does to a real layer, for the page Methods (after a new or changed method)
	@$(PY) -m sample_data.pictures $(ARGS)

bench: install-dev  ## speed: training loop, first page, sliders, kernels (docs/figures.md)
	@$(call all_of,$(filter-out benchmarks/evidence%,$(SCRIPTS)))

evidence: install  ## does distillation help? do methods show what their sources claim? (about three hours)
	@$(call all_of,$(filter benchmarks/evidence%,$(SCRIPTS)))

screenshots: install-dev  ## docs/images from the real app in a real browser
	@$(PY) tools/screenshots.py $(ARGS)

clean:  ## remove caches and the environment (the store of your results stays)
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

moved: ;

$(RUN_STAMP): $(DECLARED)
	@PYTHON='$(PYTHON)' tools/install.sh '' && printf '%s' '$(CURDIR)' > $@

$(DEV_STAMP): $(DECLARED)
	@PYTHON='$(PYTHON)' tools/install.sh '[test,dev]' && printf '%s' '$(CURDIR)' | tee $(RUN_STAMP) > $@
