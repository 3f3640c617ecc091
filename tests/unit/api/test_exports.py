"""Names that users import from ``airflow_pixverse.api``."""

import subprocess
import sys

import pytest

from airflow_pixverse import api
from airflow_pixverse.api import accounts, client, errors, kinds, results, scheduler, submission, uploads

MODULES = (accounts, client, errors, kinds, results, scheduler, submission, uploads)


@pytest.mark.parametrize("name", api.__all__)
def test_public_name_is_that_of_its_module(name):
    assert any(getattr(api, name) is getattr(module, name, None) for module in MODULES)
    assert name in dir(api)


def test_error_of_any_kind_is_exported():
    assert {name for name in vars(errors) if name.startswith("Pixverse")} <= set(api.__all__)


def test_name_that_is_not_public_is_unknown():
    with pytest.raises(AttributeError, match="has no attribute 'PixverseServer'"):
        api.PixverseServer  # noqa: B018


def test_error_is_imported_without_what_is_slow_to_import():
    code = """
import sys
from airflow_pixverse.api import PixverseError
print([name for name in ("requests", "pydantic", "airflow") if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
