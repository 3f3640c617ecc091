"""Accounts, a clock and a connection for the tests of the simulator."""

import http.client
from contextlib import closing
from dataclasses import dataclass

A, B = "a-1@example.com", "b@example.com"
TOKEN = "user:1-test"


@dataclass
class Clock:
    """
    A clock that only moves when a test assigns to ``now``.

    :param now: in seconds since the epoch
    """

    now: float

    def __call__(self) -> float:
        return self.now


def connection_to(sim):
    """A connection that shows more of an answer than requests does, to be used with ``with``."""
    return closing(http.client.HTTPConnection("127.0.0.1", sim.port, timeout=60))
