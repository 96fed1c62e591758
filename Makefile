# Every target makes the environment that it needs, below .venv*, from the locks in requirements/. A stamp file in an
# environment says which locks it holds.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The interpreter that environments are made with: the first of those that the locks are for.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do command -v $$name && break; done)
# The engine behind `make serve`: llamacpp (a small real model) or simulator.
ENGINE ?= llamacpp
# More arguments for pytest, such as ARGS='-k retry'.
ARGS ?=

BIN := .venv/bin
# Wheels only, so that nothing is compiled; what has none is pure Python and is built by the locked setuptools.
WHEELS := --only-binary :all: --no-binary forbiddenfruit --no-build-isolation
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes $(WHEELS)
OWN := clients/python/pyproject.toml pyproject.toml
PYTHON_SOURCES := $(wildcard service clients tests tools bench examples)

.PHONY: help
help: ## Tell what there is
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1\t\2/' | expand -t 22

# --- environments ---

.venv/.stamp-service: requirements/build.txt requirements/service.txt $(OWN)
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed"; exit 1; }
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) -r requirements/build.txt
	$(BIN)/python $(INSTALL) -r requirements/service.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e clients/python -e .
	touch $@

.venv/.stamp-dev: .venv/.stamp-service requirements/dev.txt requirements/tokenizers.txt
	$(BIN)/python $(INSTALL) -r requirements/dev.txt
	$(BIN)/python $(INSTALL) --no-deps -r requirements/tokenizers.txt
	touch $@

.venv/.stamp-engine: .venv/.stamp-service requirements/engine.txt
	$(BIN)/python $(INSTALL) -r requirements/engine.txt
	touch $@

.venv/.stamp-e2e: .venv/.stamp-dev requirements/e2e.txt
	$(BIN)/python $(INSTALL) -r requirements/e2e.txt
	touch $@

.venv/.stamp-chart: .venv/.stamp-dev requirements/chart.txt
	$(BIN)/python $(INSTALL) -r requirements/chart.txt
	touch $@

.venv/.stamp-load: .venv/.stamp-dev requirements/load.txt
	$(BIN)/python $(INSTALL) -r requirements/load.txt
	touch $@

.venv-proto/.stamp: requirements/proto.txt
	[ -x .venv-proto/bin/python ] || $(PYTHON) -m venv .venv-proto
	.venv-proto/bin/python $(INSTALL) -r requirements/proto.txt
	touch $@

# What tests talk to, or with. What a machine cannot have is skipped.
.venv-triton/.stamp .venv-mlserver/.stamp .venv-sdks/.stamp .venv-sdks-older/.stamp: .venv-%/.stamp: requirements/%.txt
	[ -x $(@D)/bin/python ] || $(PYTHON) -m venv $(@D)
	if $(@D)/bin/python $(INSTALL) -r $<; then touch $@; else echo "SKIPPED: $* cannot be installed here, and its tests will be skipped"; fi

.venv-client-floor/.stamp: requirements/build.txt requirements/client-floor.txt clients/python/pyproject.toml
	[ -x .venv-client-floor/bin/python ] || $(PYTHON) -m venv .venv-client-floor
	.venv-client-floor/bin/python $(INSTALL) -r requirements/build.txt
	.venv-client-floor/bin/python $(INSTALL) -r requirements/client-floor.txt
	.venv-client-floor/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e clients/python
	touch $@

# --- run ---

.PHONY: serve
serve: .venv/.stamp-service ## Serve a model on this machine; ENGINE=llamacpp (default) or simulator
	@engine=$(ENGINE); \
	if [ "$$engine" = llamacpp ] && ! $(MAKE) --no-print-directory .venv/.stamp-engine; then \
	  echo "The wheels of the llama.cpp engine cannot be installed here: serving the simulator instead."; \
	  engine=simulator; \
	fi; \
	exec $(BIN)/python -m tools.serve --engine "$$engine"

# --- test ---

.PHONY: test
test: .venv/.stamp-dev test-client-floor ## Run all tests but the end-to-end ones; ARGS='-n 0' for one process alone
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

.PHONY: test-client-floor
test-client-floor: .venv-client-floor/.stamp ## Check that the stubs work with the oldest grpcio and protobuf
	.venv-client-floor/bin/python tools/client_floor.py

.PHONY: test-e2e
test-e2e: .venv/.stamp-e2e .venv-client-floor/.stamp .venv-proto/.stamp .venv-triton/.stamp .venv-mlserver/.stamp .venv-sdks/.stamp .venv-sdks-older/.stamp ## Run the tests that start whole processes, real engines and the providers' own clients
	$(BIN)/python -m pytest -m e2e $(ARGS)

.PHONY: test-vllm
test-vllm: .venv/.stamp-e2e ## Run the tests against a real vLLM on the CPU, which is installed at first (3 GB to fetch)
	$(BIN)/python -m tools.vllm_venv
	$(BIN)/python -m pytest -m e2e tests/e2e/test_vllm.py $(ARGS)

.PHONY: test-kube
test-kube: .venv/.stamp-dev ## Run the tests against a Kubernetes control plane, which is built at first (five minutes)
	$(BIN)/python -m tests.kube $(ARGS)

.PHONY: load
load: .venv/.stamp-load ## Load a service on this machine with ghz, and write a report with plots to build/load
	@if ! $(MAKE) --no-print-directory .venv/.stamp-engine; then echo "The profiles of a real engine will be skipped."; fi
	$(BIN)/python -m tests.load $(ARGS) || [ $$? = 3 ]

.PHONY: test-image
test-image: .venv/.stamp-dev ## Build the container image and try it, where buildah, podman and runc are there
	$(BIN)/python -m pytest -m image tests/image -rs $(ARGS)

.PHONY: bench
bench: .venv/.stamp-dev ## Measure the service beside a bare relay
	@if [ -f bench/__main__.py ]; then exec $(BIN)/python -m bench $(ARGS); else echo "SKIPPED: bench/ is not there yet"; fi

# --- check ---

.PHONY: check
check: check-format check-lint check-house check-types check-imports check-proto check-docs check-chart ## Run every check that needs no test

.PHONY: check-format
check-format: .venv/.stamp-dev ## Format of the Python sources
	$(BIN)/ruff format --check $(PYTHON_SOURCES)

.PHONY: check-lint
check-lint: .venv/.stamp-dev ## Lint of the Python sources
	$(BIN)/ruff check $(PYTHON_SOURCES)

.PHONY: check-house
check-house: .venv/.stamp-dev ## Rules of this code base that no linter knows
	$(BIN)/python -m tools.check_house

.PHONY: check-types
check-types: .venv/.stamp-dev ## Types
	$(BIN)/mypy

.PHONY: check-imports
check-imports: .venv/.stamp-dev ## Which room may import which
	$(BIN)/lint-imports

.PHONY: check-proto
check-proto: .venv/.stamp-dev .venv-proto/.stamp ## Contract: format, lint, compatibility, stubs up to date
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/buf lint
	$(BIN)/buf breaking protos --against protos/released.binpb
	.venv-proto/bin/python tools/protos.py --check

.PHONY: check-docs
check-docs: .venv/.stamp-dev ## Generated documentation up to date
	@if [ -f tools/docs.py ]; then $(BIN)/python -m tools.docs --check; else echo "SKIPPED: tools/docs.py is not there yet"; fi

.PHONY: check-chart
check-chart: chart ## Lint of the Helm chart

.PHONY: format
format: .venv/.stamp-dev ## Format the sources and mend what can be mended
	$(BIN)/ruff check --fix-only --quiet $(PYTHON_SOURCES)
	$(BIN)/ruff format $(PYTHON_SOURCES)
	$(BIN)/buf format --write protos

# --- generate ---

.PHONY: proto
proto: .venv-proto/.stamp ## Generate the Python stubs of the contract, and a descriptor set for releases in dist/
	.venv-proto/bin/python tools/protos.py
	.venv-proto/bin/python tools/protos.py --descriptors dist/pointsman-v1.binpb

# The image is that of the last release. Before the first tag a field may still move: renew it then, on purpose.
# After that it is renewed by the commit that makes a release, and by no other.
.PHONY: proto-released
proto-released: .venv/.stamp-dev ## Renew the image that the contract's compatibility is checked against
	$(BIN)/buf build protos --exclude-source-info -o protos/released.binpb

.PHONY: lock
lock: .venv/.stamp-dev ## Renew the locks in requirements/ from the pyproject files
	$(BIN)/python -m tools.lock $(ARGS)

# --- ship ---

.PHONY: image
image: ## Build the container image, with buildah, podman or docker
	$(PYTHON) tools/image.py build $(ARGS)

.PHONY: sbom
sbom: ## Write the bill of materials of the built image to dist/
	@mkdir -p dist
	$(PYTHON) tools/image.py sbom $(ARGS) dist/pointsman-image.cdx.json

.PHONY: chart
chart: .venv/.stamp-chart ## Check the Helm chart: lint, what it renders, schemas of every Kubernetes release
	@$(PYTHON) tools/go_tools.py helm helm3 kubeconform kube-score >/dev/null || \
	  { [ $$? = 3 ] && echo "SKIPPED: the chart was not checked, or not in full"; }
	$(BIN)/python -m pytest -m chart tests/chart $(ARGS)

.PHONY: clean
clean: ## Remove environments, caches and builds
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .cache
	find service clients -name '*.egg-info' -prune -exec rm -rf {} +
	find service clients tests tools bench examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
