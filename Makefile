# The two commands: `make demo` and `make test`. Both set themselves up; `make help` lists the rest.
AIRFLOW_VERSIONS := 2.11.2 3.0.6 3.1.8 3.2.2 3.3.2
AIRFLOW ?= 3.3.2

# Airflow 2.11 and 3.0 do not run on Python 3.13 and later; uv finds (or fetches) one that fits.
PYTHON ?= >=3.11,<3.13
UV := .venv/uv/bin/uv
venv = .venv/airflow-$(1)
python = $(call venv,$(1))/bin/python
PY := $(call python,$(AIRFLOW))

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
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

.PHONY: install
install: .venv/airflow-$(AIRFLOW)/.installed  ## the environment for AIRFLOW=3.3.2 (or another tested version)

.PHONY: clean
clean:  ## remove everything that was set up
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
