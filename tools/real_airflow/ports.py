"""Ports of this machine."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def free_port(preferred: int = 0) -> int:
    """Return the port ``preferred`` of the loopback interface if it is free, else another one that is."""
    for port in (preferred, 0):
        try:
            with socket.create_server((LOOPBACK, port)) as listener:
                free: int = listener.getsockname()[1]
                return free
        except OSError:
            if not port:
                raise
    raise AssertionError("the second port is any that is free")
