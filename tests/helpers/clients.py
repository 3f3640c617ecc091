"""Clients for tests, and the errors of their calls."""

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseError


def client_of(server, token=None, **kwargs):
    """
    Make a client that does not retry.

    :param server: a simulator, another server with a ``url``, or a URL.
    :param token: API token; None for that of the simulator.
    """
    token, url = token or getattr(server, "token", "user:1-token"), getattr(server, "url", server)
    return PixverseClient(token, url, **{"max_retries": 0, "max_retry_wait": 0, **kwargs})


def error_of(call, *args, kind=PixverseError, **kwargs):
    """
    Return the error that a call ends in.

    :param kind: class that it must be of.
    """
    with pytest.raises(kind) as caught:
        call(*args, **kwargs)
    return caught.value
