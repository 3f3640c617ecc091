# The two commands are `make demo` and `make test`; both set themselves up. `make help` lists the rest.
# `make test` is for NEWEST; `make test-all` adds the other versions, and all that takes long.
NEWEST := 3.3.2
OLDEST := 2.11.2
BETWEEN := 3.0.6
# By docs/reference/airflow-versions.md these differ from 3.0 by their pages.
LIKE_3.0 := 3.1.8 3.2.2
PRE_RELEASE := 3.4.0b2
ENDS := $(NEWEST) $(OLDEST)
WITH_PAGE := $(PRE_RELEASE) 3.1.8
AIRFLOW ?= $(NEWEST)

# Airflow 2.11 and 3.0 do not run on Python 3.13; uv finds (or fetches) one that fits.
comma := ,
PYTHON = >=3.11$(comma)<$(if $(filter 2.11.% 3.0.%,$*),3.13,3.14)
VENV = .venv/airflow-$(AIRFLOW)
PY = $(VENV)/bin/python
PYTEST = AIRFLOW_PIXVERSE_EXPECTED_AIRFLOW=$(AIRFLOW) $(PY) -m pytest -p no:cacheprovider
ON = $(MAKE) --no-print-directory AIRFLOW=$(1)

# A pip that knows no certificate of the network it is in is told those of the machine.
CERTIFICATES = $(firstword $(SSL_CERT_FILE) $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt))
PIP_INSTALL := .venv/uv/bin/pip install --quiet --disable-pip-version-check

# Each of many processes imports this package and its tests, which takes twice as long uncompiled.
unexport PYTHONDONTWRITEBYTECODE

# In a terminal, uv shows how far it is.
UV := scripts/uv $(shell test -t 2 || echo --quiet)
INSTALL = UV_COMPILE_BYTECODE=1 $(UV) pip install --python $(@D)/bin/python --constraint constraints/airflow-$*.txt

# What mostly waits runs a few at a time, each with the output of its own.
AT_ONCE = $(MAKE) --no-print-directory --jobs=$(1) --output-sync=target

# These know no Airflow, so one version tells as much as five.
WITHOUT_AIRFLOW := tests/unit/api tests/unit/gate tests/unit/simulator
INSIDE_AIRFLOW := tests/unit tests/integration tests/page $(WITHOUT_AIRFLOW:%=--ignore=%)

# What these are about comes from the gate, the API and this package, and is tested on the newest and the oldest.
ALIKE := bad_moments cancel job_sensor_use job_trigger operator shared_gates submit_cost submit_failure tickets
WHAT_MAY_DIFFER := tests/integration tests/page $(ALIKE:%=--ignore=tests/integration/test_%.py)
IN_PART := $(PRE_RELEASE) $(BETWEEN)
# What follows from capabilities, which are those of 3.0.
AS_IN_3.0 := documented_dags end_from_trigger job_outcomes job_trouble kept_results lost_answers mapped_begins \
	output_path picked_up sensor_outcomes submit_slots submit_waits uploads
WHAT_IS_LEFT := $(WHAT_MAY_DIFFER) $(AS_IN_3.0:%=--ignore=tests/integration/test_%.py)

# These bring up an Airflow of their own, on PostgreSQL.
NEEDS_POSTGRESQL := tests/e2e/test_paid_once.py tests/e2e/test_postgresql.py

# The longest first. In a real Airflow, what is newest counts: the pre-release stands for NEWEST on SQLite.
ON_SQLITE := $(PRE_RELEASE) $(OLDEST)
E2E := $(ENDS:%=test-e2e-on-postgresql-%) $(ON_SQLITE:%=test-e2e-on-sqlite-%) $(ENDS:%=test-scripts-%)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PRECIOUS: .venv/airflow-%/.installed .venv/airflow-%/.installed-test-tools .venv/airflow-%/.installed-browser
.PRECIOUS: .venv/airflow-%/.installed-docs

.venv/uv/bin/uv:
	@echo "Installing uv, which installs everything else ..."
	python3 -m venv .venv/uv
	$(PIP_INSTALL) --retries 1 uv || PIP_CERT="$(CERTIFICATES)" $(PIP_INSTALL) uv

# One environment per version of Airflow, made anew when what it is made from changes: first what the demo
# needs, then the tools for tests, then the tool for mutants.
.venv/airflow-%/.installed: pyproject.toml constraints/airflow-%.txt | .venv/uv/bin/uv
	@echo "Installing Airflow $* and this package into $(@D), some 140 packages (a quarter of a GB)."
	@echo "The first time this usually takes one to three minutes; later, a few seconds ..."
	$(UV) venv --clear --python "$(PYTHON)" $(@D)
	$(INSTALL) "apache-airflow==$*" --editable ".[simulator]"
	@touch $@

.venv/airflow-%/.installed-test-tools: .venv/airflow-%/.installed
	@echo "Installing the tools for tests, linters and type checks ..."
	$(INSTALL) --group test --group lint
	@touch $@

.venv/airflow-%/.installed-browser: .venv/airflow-%/.installed-test-tools
	@echo "Installing what drives a browser ..."
	$(INSTALL) --group browser
	@touch $@

.venv/airflow-%/.installed-docs: .venv/airflow-%/.installed-test-tools
	@echo "Installing Sphinx ..."
	$(INSTALL) --group docs
	@touch $@

.venv/airflow-%/.installed-mutation: .venv/airflow-%/.installed-test-tools
	@echo "Installing the mutation tester ..."
	$(INSTALL) --group mutation
	@touch $@

.PHONY: help
help:  ## what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

.PHONY: demo
demo: $(VENV)/.installed  ## a prompt becomes a stored video, and thirty become videos on three slots; inside Airflow, on the simulator
	@$(PY) -m scripts.demo

.PHONY: airflow
airflow: $(VENV)/.installed  ## the whole of Airflow in the browser, with simulator and examples
	@$(PY) -m scripts.airflow_in_browser

.PHONY: test
test: $(VENV)/.installed-docs  ## does this checkout work? On the newest Airflow, some 8 minutes
	$(call AT_ONCE,2) test-airflow-briefly lint docs test-unit test-main-job test-packaging

.PHONY: test-all
test-all: test test-rest  ## and on every supported one, PostgreSQL, kills, the browser: some 45 minutes

.PHONY: test-rest
test-rest: test-other-airflows test-real-airflow  ## what test-all adds to test

.PHONY: lint
lint: install  ## ruff and mypy --strict
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

.PHONY: docs
docs: $(VENV)/.installed-docs  ## the documentation, into build/docs; warnings are errors
	$(PY) -m sphinx -b html -W --keep-going -n -q docs build/docs

.PHONY: test-one
test-one: install  ## one file, folder or test: make test-one TESTS=tests/unit/gate/test_leases.py
	@test -n "$(TESTS)" || { echo "Say which: make test-one TESTS=tests/unit/gate/test_leases.py"; exit 2; }
	$(PYTEST) $(TESTS)

.PHONY: test-unit
test-unit: install  ## what knows no Airflow: API client, gate, simulator
	$(PYTEST) -n 4 $(WITHOUT_AIRFLOW)

.PHONY: test-airflow
test-airflow: install  ## what runs inside Airflow
	$(PYTEST) -n 3 --dist worksteal $(INSIDE_AIRFLOW)

.PHONY: test-airflow-briefly
test-airflow-briefly: install  ## the same without what is alike on every version, as `make test` has it
	$(PYTEST) -n 4 --dist worksteal $(INSIDE_AIRFLOW) $(ALIKE:%=--ignore=tests/integration/test_%.py)

.PHONY: test-alike
test-alike: install  ## what test-airflow-briefly leaves out
	$(PYTEST) -n 3 --dist worksteal $(ALIKE:%=tests/integration/test_%.py)

.PHONY: test-other-airflows
test-other-airflows: | .venv/uv/bin/uv  ## the same on every supported version, and test-alike on the newest
	$(call AT_ONCE,2) $(OLDEST:%=test-airflow-%) $(IN_PART:%=test-airflow-%) $(LIKE_3.0:%=test-airflow-%) test-alike

.PHONY: $(OLDEST:%=test-airflow-%) $(IN_PART:%=test-airflow-%) $(LIKE_3.0:%=test-airflow-%)
$(OLDEST:%=test-airflow-%): test-airflow-%:
	$(call ON,$*) test-airflow
$(IN_PART:%=test-airflow-%): test-airflow-%:
	$(call ON,$*) test-airflow INSIDE_AIRFLOW="$(WHAT_MAY_DIFFER)"
$(LIKE_3.0:%=test-airflow-%): test-airflow-%:
	$(call ON,$*) test-airflow INSIDE_AIRFLOW="$(WHAT_IS_LEFT)"

.PHONY: test-main-job
test-main-job: install  ## a picture in a bucket becomes a video there, with a real scheduler and triggerer
	$(PYTEST) tests/e2e -m main_job

# Root on Debian may install it; elsewhere the tests that need it say that it is missing, and fail in CI.
.PHONY: postgresql
postgresql:  ## what some end-to-end tests need, with apt-get if it is not there
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null \
	|| if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing PostgreSQL ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends postgresql \
		|| echo "PostgreSQL could not be installed: its tests are skipped."; \
	else \
		echo "PostgreSQL is not installed, and only root on Debian can do so here: its tests are skipped."; \
	fi

.PHONY: test-e2e
test-e2e: postgresql  ## a real scheduler and triggerer, and the scripts, on the newest Airflows and the oldest
	$(call AT_ONCE,3) $(E2E)

.PHONY: test-real-airflow
test-real-airflow: postgresql chromium $(WITH_PAGE:%=.venv/airflow-%/.installed-browser)  ## test-e2e and test-browser side by side
	$(call AT_ONCE,3) $(E2E) $(WITH_PAGE:%=test-browser-%)

.PHONY: $(E2E)
$(ENDS:%=test-e2e-on-postgresql-%): test-e2e-on-postgresql-%: .venv/airflow-%/.installed-test-tools
	$(call ON,$*) test-one TESTS="$(NEEDS_POSTGRESQL)"
$(ON_SQLITE:%=test-e2e-on-sqlite-%): test-e2e-on-sqlite-%: .venv/airflow-%/.installed-test-tools
	$(call ON,$*) test-one TESTS="tests/e2e $(NEEDS_POSTGRESQL:%=--ignore=%)"
$(ENDS:%=test-scripts-%): test-scripts-%: .venv/airflow-%/.installed-test-tools
	$(call ON,$*) test-one TESTS=tests/scripts

# As for PostgreSQL.
.PHONY: chromium
chromium:  ## what the browser tests need, with apt-get if it is not there
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null \
	|| if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium fonts-liberation \
		|| echo "Chromium could not be installed: the browser tests are skipped."; \
	else \
		echo "Chromium is not installed, and only root on Debian can do so here: the browser tests are skipped."; \
	fi

.PHONY: test-browser
test-browser: chromium  ## the capacity page in Chromium, on the newest Airflow and the oldest that has it
	$(call AT_ONCE,2) $(WITH_PAGE:%=test-browser-%)

.PHONY: $(WITH_PAGE:%=test-browser-%)
$(WITH_PAGE:%=test-browser-%): test-browser-%: .venv/airflow-%/.installed-browser
	$(call ON,$*) test-browser-one

.PHONY: test-browser-one
test-browser-one: $(VENV)/.installed-browser
	$(PYTEST) tests/browser

.PHONY: screenshots
screenshots: chromium $(VENV)/.installed-browser  ## the pictures of the capacity page, in docs/pictures
	@$(PY) -m scripts.screenshots

.PHONY: diagrams
diagrams: install  ## the diagrams, from their descriptions in docs/pictures
	@$(PY) -m scripts.diagrams

.PHONY: demo-picture
demo-picture: install  ## a picture of what make demo prints, in docs/pictures
	@$(PY) -m scripts.demo_picture

.PHONY: test-packaging
test-packaging: install  ## the wheel and its metadata
	$(PYTEST) -n 2 tests/packaging

.PHONY: release
release: install  ## wheel and sdist, checked, and the steps to publish them
	$(PY) -m scripts.release --uv $(CURDIR)/scripts/uv --airflow $(AIRFLOW)

.PHONY: mutants
mutants: $(VENV)/.installed-mutation  ## do the tests notice small faults? All, or MUTANTS='airflow_pixverse.gate.*'
	$(PY) -m scripts.mutants $(MUTANTS)

.PHONY: bench
bench: install  ## speed, as ratios to a yardstick
	$(PY) -m benchmarks.run

.PHONY: bench-peers
bench-peers: install postgresql  ## this package beside other ways to make prompts, as a table; PEERS='--prompts 10' for less
	@$(PY) -m benchmarks.peers $(PEERS)

.PHONY: install
install: $(VENV)/.installed-test-tools  ## the environment for AIRFLOW=3.3.2 (or another tested version)

.PHONY: clean
clean:  ## remove everything that was set up
	rm -rf .venv build dist mutants .mypy_cache .ruff_cache .hypothesis
