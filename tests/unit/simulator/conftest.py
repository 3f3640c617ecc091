"""A simulator, and a customer who sends requests to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_pixverse.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

A, B = "a-1@example.com", "b@example.com"


class Customer(requests.Session):
    """A session whose paths begin at the simulator."""

    def __init__(self, url: str, token: str | None) -> None:
        super().__init__()
        self.trust_env = False  # neither proxies nor .netrc
        self.base = url
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", 60)
        kwargs["allow_redirects"] = False
        return super().request(method, self.base + url, *args, **kwargs)


@pytest.fixture
def connect() -> Iterator[Callable[..., Customer]]:
    """Make customers of a simulator."""
    customers: list[Customer] = []

    def make(sim: Simulator, token: str | None = None, *, path: str = "/v2/pixverse") -> Customer:
        customers.append(Customer(sim.url + path, sim.token if token is None else token))
        return customers[-1]

    yield make
    for customer in customers:
        customer.close()


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(accounts={A: 3, B: 3}, token="user:1-test") as simulator:
        yield simulator


@pytest.fixture
def api(sim: Simulator, connect: Callable[..., Customer]) -> Customer:
    """A customer of the API with the right token."""
    return connect(sim)


@pytest.fixture
def admin(sim: Simulator, connect: Callable[..., Customer]) -> Customer:
    """Somebody at the keyboard, without a token."""
    return connect(sim, "", path="/simulator")
