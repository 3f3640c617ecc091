"""A simulator, and clients that send requests to it."""

import pytest
import requests

from airflow_pixverse.simulator import Simulator
from tests.unit.simulator.helpers import TOKEN, A, B, Clock


class Client(requests.Session):
    """A session whose paths begin at the simulator."""

    def __init__(self, url, token):
        super().__init__()
        self.trust_env = False  # neither proxies nor .netrc
        self.base = url
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method, url, *args, **kwargs):
        kwargs.setdefault("timeout", 60)
        kwargs["allow_redirects"] = False
        return super().request(method, self.base + url, *args, **kwargs)


@pytest.fixture
def connect():
    """Make clients of a simulator."""
    clients = []

    def make(sim, token=None, *, path="/v2/pixverse"):
        clients.append(Client(sim.url + path, sim.token if token is None else token))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def clock():
    """It stands at 2024-11-11T12:34:56Z."""
    return Clock(1_731_328_496.0)


@pytest.fixture
def sim(request, clock):
    """A simulator on the clock, with the options that the test is marked with."""
    options = {"accounts": {A: 3, B: 3}, "token": TOKEN, "clock": clock}
    for marker in reversed(list(request.node.iter_markers("pixverse_simulator"))):
        options |= marker.kwargs
    with Simulator(**options) as simulator:
        yield simulator


@pytest.fixture
def api(sim, connect):
    """A client of the API with the right token."""
    return connect(sim)


@pytest.fixture
def admin(sim, connect):
    """A person at the keyboard, without a token."""
    return connect(sim, "", path="/simulator")


@pytest.fixture
def web(sim, connect):
    """A client without a token, whose paths begin at the origin."""
    return connect(sim, "", path="")
