# The two commands are `make demo` and `make test`; both set themselves up. `make help` lists the rest.
AIRFLOW_VERSIONS := 2.11.2 3.0.6 3.1.8 3.2.2 3.3.2
AIRFLOW ?= 3.3.2

# Airflow 2.11 and 3.0 do not run on Python 3.13; uv finds (or fetches) one that fits.
comma := ,
PYTHON = >=3.11$(comma)<$(if $(filter 2.11.% 3.0.%,$*),3.13,3.14)
UV := .venv/uv/bin/uv
PY = .venv/airflow-$(AIRFLOW)/bin/python
PYTEST = AIRFLOW_PIXVERSE_EXPECTED_AIRFLOW=$(AIRFLOW) $(PY) -m pytest -p no:cacheprovider

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

$(UV):
	python3 -m venv .venv/uv
	.venv/uv/bin/pip install --quiet --disable-pip-version-check uv

# One environment per Airflow version, made anew when what it is made from changes.
.venv/airflow-%/.installed: pyproject.toml constraints/airflow-%.txt | $(UV)
	$(UV) venv --quiet --clear --python "$(PYTHON)" $(@D)
	UV_COMPILE_BYTECODE=1 $(UV) pip install --quiet --python $(@D)/bin/python \
		--constraint constraints/airflow-$*.txt \
		"apache-airflow==$*" --editable ".[simulator]" --group test --group lint
	touch $@

.PHONY: help
help:  ## what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

.PHONY: demo
demo: install  ## a DAG waits for a slot of the simulator, inside Airflow
	$(PY) scripts/demo.py

.PHONY: airflow
airflow: install  ## the whole of Airflow in the browser, with simulator and examples
	$(PY) scripts/standalone.py

.PHONY: test
test: lint test-all test-e2e test-packaging  ## everything: lint, types, all tests on all Airflow versions

.PHONY: lint
lint: install  ## ruff and mypy --strict
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

.PHONY: test-one
test-one: install  ## unit and integration tests on AIRFLOW=3.3.2 (or another tested version)
	$(PYTEST) -n 4 tests/unit tests/integration

.PHONY: test-all
test-all:  ## unit and integration tests on every tested Airflow version
	set -e; for version in $(AIRFLOW_VERSIONS); do $(MAKE) --no-print-directory test-one AIRFLOW=$$version; done

.PHONY: test-e2e
test-e2e:  ## a real scheduler and triggerer, on the oldest and the newest Airflow
	set -e; for version in 2.11.2 3.3.2; do $(MAKE) --no-print-directory test-e2e-one AIRFLOW=$$version; done

.PHONY: test-e2e-one
test-e2e-one: install
	$(PYTEST) tests/e2e

.PHONY: test-packaging
test-packaging: install  ## the wheel and its metadata
	$(PYTEST) tests/packaging

.PHONY: bench
bench: install  ## speed, as ratios to a yardstick
	$(PY) benchmarks/run.py

.PHONY: install
install: .venv/airflow-$(AIRFLOW)/.installed  ## the environment for AIRFLOW=3.3.2 (or another tested version)

.PHONY: clean
clean:  ## remove everything that was set up
	rm -rf .venv build dist .mypy_cache .ruff_cache .hypothesis
