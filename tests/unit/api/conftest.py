"""A client of the simulator, servers that answer byte by byte, and hosts that are hard to connect to."""

import socket
from contextlib import ExitStack

import pytest

from tests.helpers.clients import client_of
from tests.helpers.raw_server import RawServer, always, answer, tls_context


@pytest.fixture
def client(sim):
    """A client of the simulator that does not retry."""
    with client_of(sim) as client:
        yield client


@pytest.fixture
def raw_server():
    """A function that starts a server for one test. It answers each request with bytes, else with ``{}``."""
    with ExitStack() as running:

        def start(serve=b"", tls=None):
            script = serve if callable(serve) else always(serve or answer())
            return running.enter_context(RawServer(script, tls))

        yield start


@pytest.fixture
def tls(tmp_path):
    """The TLS context of a server on this machine, and the file of its certificate, which nobody trusts."""
    return tls_context(tmp_path, "127.0.0.1")


@pytest.fixture
def full_port():
    """A port that takes no connection: connecting to it hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]  # they fill the queue of connections
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()


@pytest.fixture
def addresses(monkeypatch):
    """The ports of this machine that the addresses of ``service.invalid`` stand for."""
    ports = []
    real = socket.getaddrinfo

    def look_up(host, *args, **kwargs):
        if host != "service.invalid":
            return real(host, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return ports
