# ichlite: `make demo` reads two studies with the light half; `make test` installs all and tests.
# Needs python3 (3.11 to 3.13) and make. Everything else goes into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LIGHT  := $(VENV)/.light
FULL   := $(VENV)/.full
DOCS   := $(VENV)/.docs
NODE   := node_modules/.package-lock.json
NPX    := PATH="$(CURDIR)/$(BIN):$$PATH" npx --no
RUNS   ?= runs/bundle

.DEFAULT_GOAL := help
.PHONY: help demo demo-node test test-long check docs bundle bundle-phantoms samples clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

demo: $(LIGHT)  ## read two sample studies, print the triage list, write demo-report/
	$(BIN)/ichlite demo --out demo-report

demo-node: $(FULL)  ## start a node and an Orthanc, send the samples, leave the worklist open
	$(BIN)/python -m scripts.demo_node

test: $(FULL) $(NODE)  ## tests and doctests, in minutes; those of the viewer need chromium and chromedriver
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not long"

test-long: $(FULL) $(NODE)  ## the tests that train, kill and drive for long; what lands passes both
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long

check: $(FULL) $(NODE)  ## lint, format, types, layers, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/type_check_snippets.py
	$(BIN)/lint-imports
	$(NPX) biome ci --error-on-warnings
	$(BIN)/mkdocs build --strict --quiet --site-dir $(VENV)/site

docs: $(DOCS)  ## build the documentation and the API reference into site/
	$(BIN)/mkdocs build --strict

bundle: $(FULL)  ## make the embedded bundle: CT_ICH=FOLDER of the data set (hours on 2 cores)
	$(BIN)/python scripts/make_bundle.py --ct-ich "$(CT_ICH)" --out $(RUNS) --install

bundle-phantoms: $(FULL)  ## make its sister from phantoms alone (an hour on 2 cores)
	$(BIN)/python scripts/make_bundle.py --out $(RUNS) --install

samples: $(FULL)  ## make the embedded phantom sample again
	$(BIN)/python scripts/make_samples.py --phantom

clean:
	rm -rf $(VENV) node_modules site demo-report

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip

$(LIGHT): $(BIN)/pip pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(DOCS): $(BIN)/pip pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $(LIGHT) $@

$(FULL): $(BIN)/pip pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,ray,node,dev]'
	@touch $(LIGHT) $(DOCS) $@

# What lints and tests the viewer's JavaScript; node itself comes with the development extra.
$(NODE): package.json package-lock.json | $(FULL)
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --no-audit --no-fund --silent
	@touch $@
