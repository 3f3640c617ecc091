"""Connections for the hook, defined in the environment."""

import json

import pytest

from airflow_pixverse.api.errors import PixverseFatalError
from airflow_pixverse.hooks import lookup
from airflow_pixverse.hooks.pixverse import PixverseHook
from tests.helpers.clients import error_of
from tests.helpers.raw_server import RawServer, always, answer, tls_context

TOKEN = "user:42-t0ps3cret"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    """No worker waits before it looks again for a missing connection."""
    monkeypatch.setattr(lookup, "SECOND_LOOK_AFTER", 0)


@pytest.fixture
def connection(monkeypatch):
    """A function that defines the connection ``pixverse_default``, and returns a hook of it."""

    def define(uri=None, **fields):
        fields = {"conn_type": "pixverse", "password": TOKEN, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", uri or json.dumps(fields))
        return PixverseHook()

    return define


@pytest.fixture
def tls_service(tmp_path):
    """A service without accounts, over https, and the file of its certificate, which nobody trusts."""
    context, certificate = tls_context(tmp_path, "127.0.0.1")
    with RawServer(always(answer()), context) as server:
        yield server, certificate


def refusal_of(call, *args, **kwargs) -> str:
    """Return the message of the fatal error that a call ends in, which does not repeat the token."""
    message = str(error_of(call, *args, kind=PixverseFatalError, **kwargs))
    assert TOKEN not in message
    return message
