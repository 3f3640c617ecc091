"""Hosts that are hard to connect to."""

import socket

import pytest


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
