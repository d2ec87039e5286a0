# `make run` and `make test` need Python 3.11 or later with venv, and nothing else.
PYTHON ?= python3
PY := .venv/bin/python
RUN := .venv/.installed-run
DEV := .venv/.installed-dev
MUTATION := .venv-mutation/.installed
CHECK_ENV := PUBLIC_URL=https://mail.example.com
QUIET := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

.PHONY: help run test mutate bench drill fuzz check format clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(RUN) ## Start everything on this machine; Ctrl-C stops it
	@$(PY) manage.py run

test: $(DEV) ## Run all tests
	$(PY) -m pytest -n 3 --dist worksteal $(ARGS)

mutate: $(MUTATION) ## Change the core in small ways; some test must notice (ARGS=gate)
	@.venv-mutation/bin/python -m tests.mutation $(ARGS)

bench: $(DEV) ## Measure against limits (docs/performance.md); QUICK=1 is short
	@$(PY) -m bench $(if $(QUICK),--quick) $(ARGS)

drill: $(DEV) ## Kill parts of the running product at random, and count what is lost
	@$(PY) -m drill

fuzz: $(DEV) ## Send hostile requests to the running product; FUZZ_REQUESTS=1000000 is long
	@$(PY) -m fuzz

check: $(DEV) ## Formatting, lint, import rules, types, migrations, deployment, length
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	PYTHONPATH=. .venv/bin/lint-imports
	.venv/bin/mypy
	$(PY) manage.py makemigrations --check --dry-run
	$(CHECK_ENV) $(PY) manage.py check --deploy --fail-level WARNING
	@long=$$(git ls-files 'campaigns/*.py' 'emailtriggers/*.py' 'demo/*.py' 'bench/*.py' | grep -v /migrations/ | xargs wc -l | awk '$$2 != "total" && $$1 > 400'); \
	if [ -n "$$long" ]; then echo "Modules over 400 lines:"; echo "$$long"; exit 1; fi

format: $(DEV) ## Format the code and mend what lint can mend
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean: ## Remove the virtual environment and caches; var/ with its data stays
	rm -rf .venv .venv-mutation .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache mutants

$(PY):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON). Install Python 3.11 or later, or name one: make PYTHON=/path/to/python3.11 run"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) -V); this needs Python 3.11 or later: make PYTHON=python3.11 run"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv

$(RUN): requirements.txt | $(PY)
	@echo "Installing dependencies into .venv ..."
	@$(QUIET) $(PY) -m pip install -q --no-compile -r requirements.txt || { \
	  echo "The dependencies could not be installed; the lines above say why (often: no network)."; exit 1; }
	@touch $@

$(DEV): requirements.txt requirements-dev.txt | $(PY)
	@echo "Installing dependencies into .venv ..."
	@$(QUIET) $(PY) -m pip install -q --no-compile -r requirements-dev.txt || { \
	  echo "The dependencies could not be installed; the lines above say why (often: no network)."; exit 1; }
	@touch $@ $(RUN)

$(MUTATION): requirements.txt requirements-dev.txt requirements-mutation.txt | $(PY)
	@echo "Installing dependencies into .venv-mutation ..."
	@$(PYTHON) -m venv .venv-mutation
	@$(QUIET) .venv-mutation/bin/python -m pip install -q --no-compile -r requirements-mutation.txt || { \
	  echo "The dependencies could not be installed; the lines above say why (often: no network)."; exit 1; }
	@touch $@
