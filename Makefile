# Everything here is safe to type again; what is done already is not done twice.
#
#   XRAYDESK_WHEELS=DIR   install from a folder of wheels, without any package index
#   PYTHON=…              a certain Python (3.11, 3.12 or 3.13)
#   ARGS=…                more arguments for `make up` and `make test`
#   WHOLE=1               `make test` with the whole desks, though a program that some of them talk to is not installed

.DEFAULT_GOAL := help
.PHONY: help up test lint lock bench soak fuzz pictures statements clean
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
FROM := $(if $(XRAYDESK_WHEELS),--no-index --find-links $(XRAYDESK_WHEELS))
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
export PIP_ROOT_USER_ACTION := ignore

help: ## what can be typed
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

up: $(VENV)/.ready-to-run ## install what is needed and show the demonstration department
	@exec $(BIN)/xraydesk up --demo $(ARGS)

ALONE := tests/test_demonstration.py
# These start desks of their own and share one within a file: a file stays with one worker. The first one mostly waits.
WAITS := tests/test_mishaps.py
DESKS := $(WAITS) $(filter-out $(WAITS) $(ALONE),$(shell grep -lE "running_desk|RunningDesk" tests/test_*.py xraydesk/*/tests/test_*.py))

# Half of the time is theirs, and many of them talk to the programs of these packages (Debian's names, each with a program
# of its own): where one is lacking, one desk alone is started, and what was left out is said.
OTHERS := dcmtk/storescu orthanc/Orthanc chromium/chromium
LACKING := $(strip $(foreach other,$(OTHERS),$(if $(shell PATH="$$PATH:/usr/sbin" command -v $(notdir $(other))),,$(patsubst %/,%,$(dir $(other))))))
WHOLE ?= $(if $(LACKING),,1)
ONE := tests/test_no_patient_in_logs.py
APART := $(ALONE) $(if $(WHOLE),$(DESKS),$(filter-out $(ONE),$(DESKS)))

# What is pure is covered by small tests that ask no database and touch no link; the others run twice as fast unwatched.
test: export HYPOTHESIS_PROFILE ?= thorough
test: lint ## everything that must pass
ifdef ARGS
	@$(BIN)/pytest -n 2 $(ARGS)
else
	@$(BIN)/pytest -n 2 --cov --cov-report=term -m "not (django_db or link or unwatched)" $(addprefix --ignore=,$(APART))
	@$(BIN)/pytest -n 2 -m "django_db or link or unwatched" $(addprefix --ignore=,$(APART))
ifneq ($(WHOLE),)
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(DESKS)
	@$(BIN)/pytest $(ALONE)
else
	@$(BIN)/pytest -n 2 -m "not link" $(filter-out $(ALONE),$(APART))
	@echo "all of this passed. Left out for want of $(LACKING): the whole desks of $(words $(APART)) files, and what is named" \
	  "SKIPPED above. Install $(LACKING) to have everything, or type make test WHOLE=1 to have the desks all the same"
endif
endif

lint: $(VENV)/.ready-to-test ## form, types, layers, migrations
	@echo "checking form, types, layers and migrations"
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@XRAYDESK_SECRET_KEY=lint XRAYDESK_HOME=$(VENV)/no-home DJANGO_SETTINGS_MODULE=xraydesk.project.settings \
	  $(BIN)/python -W ignore -m django makemigrations --check --dry-run

lock: $(VENV)/.made ## pin anew what pyproject.toml asks for (needs a package index)
	@$(BIN)/python -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@for lock in "requirements.lock --extra build" "requirements-dev.lock --extra build --extra dev -c requirements.lock"; do \
	  set -- $$lock; out=$$1; shift; echo "pinning $$out"; \
	  $(VENV)/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links "$$@" pyproject.toml -o $$out || exit 2; \
	done

bench: $(VENV)/.ready-to-test ## measure, beside the peers where they are installed
	@for script in $(filter-out $(addprefix benchmarks/,soak.py fuzz.py storage.py worklist.py routing.py),$(wildcard benchmarks/[a-z]*.py)); do $(BIN)/python $$script $(ARGS) || exit 1; done

soak: $(VENV)/.ready-to-test ## two hours of the demonstration by itself: what was noticed, what memory did (ARGS=minutes)
	@$(BIN)/python benchmarks/soak.py $(ARGS)

fuzz: $(VENV)/.ready-to-test ## an hour of changed bytes at DICOM's upper layer and the readers (ARGS=minutes)
	@$(BIN)/python benchmarks/fuzz.py $(ARGS)

pictures: $(VENV)/.ready-to-test ## take the pictures of the pages anew (needs chromium)
	@$(BIN)/python docs/pictures/make.py

statements: $(VENV)/.ready-to-test ## make the tables of the DICOM conformance statement anew, from the code
	@$(BIN)/python docs/conformance/make.py

clean: ## take away what these commands made; the desk's data stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov

# The locks name every package there is to install, so that nothing is looked up beside them (--no-deps):
# pip would otherwise take a newer release for a name asked for with an extra, and refuse it for want of a hash.

# A Python that fits, with venv; one sentence where there is none.
$(VENV)/.made:
	@found=""; for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	  command -v $$python >/dev/null 2>&1 || continue; \
	  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "xraydesk needs Python 3.11, 3.12 or 3.13 and finds none: install python3.13 and python3.13-venv, or say make PYTHON=/path/to/python"; exit 2; fi; \
	if ! $$found -c 'import venv, ensurepip' 2>/dev/null; then \
	  version=$$($$found -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "Python $$version here has no venv: install the package python$$version-venv (Debian, Ubuntu: apt-get install python$$version-venv)"; exit 2; fi; \
	echo "making $(VENV) with $$($$found --version)"; \
	$$found -m venv --clear $(VENV) && touch $@

INNER := $(addprefix xraydesk/scheduling/engine/,compiling.py inner.py problem.py state.py)

$(VENV)/.ready-to-run: requirements.lock pyproject.toml $(INNER) $(VENV)/.made
	@echo "installing what xraydesk stands on"
	@$(INSTALL) $(FROM) --no-deps --require-hashes -r requirements.lock
	@$(INSTALL) --no-index --no-deps --no-build-isolation -e .
	@echo "compiling the planner's inner loop"
	@$(BIN)/python -m xraydesk.scheduling.engine.compiling
	@touch $@

$(VENV)/.ready-to-test: requirements-dev.lock $(VENV)/.ready-to-run
	@echo "installing what its tests stand on"
	@$(INSTALL) $(FROM) --no-deps --require-hashes -r requirements-dev.lock
	@touch $@
