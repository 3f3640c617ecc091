"""The warning that waits come near the capacity of a triggerer."""

from contextlib import ExitStack

import pytest
from airflow.providers.common.compat.sdk import conf

from airflow_pixverse.capabilities import TRIGGERER_CAPACITY, triggerer_capacity
from airflow_pixverse.triggerer.occupancy import Occupancy

PLACES = 10


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def occupancy(clock):
    return Occupancy(lambda: PLACES, clock=clock)


@pytest.fixture
def begin(occupancy):
    """A function that begins waits, which run until the end of the test."""
    with ExitStack() as running:
        yield lambda n: [running.enter_context(occupancy.taking_a_place()) for _ in range(n)]


def test_waits_that_take_four_in_five_places_are_warned_of(begin, caplog):
    begin(7)
    assert caplog.messages == []
    begin(1)
    [message] = caplog.messages
    assert message.startswith("8 PixVerse waits run in this triggerer, which runs 10 triggers")
    assert f"[triggerer] {TRIGGERER_CAPACITY}" in message
    conf.getint("triggerer", TRIGGERER_CAPACITY)  # raises where there is no such option


def test_the_warning_comes_once_in_ten_minutes(begin, clock, caplog):
    begin(9)
    clock.now = 599.0
    begin(1)
    assert len(caplog.messages) == 1
    clock.now = 600.0
    begin(1)
    assert len(caplog.messages) == 2


def test_waits_that_have_ended_take_no_place(occupancy, caplog):
    for _ in range(2 * PLACES):
        with occupancy.taking_a_place():
            pass
    with pytest.raises(RuntimeError), occupancy.taking_a_place():
        raise RuntimeError
    assert caplog.messages == []
    assert occupancy._waits == 0


def test_the_capacity_is_that_of_airflows_configuration(monkeypatch):
    assert triggerer_capacity() == 1000
    for name in ("CAPACITY", "DEFAULT_CAPACITY"):
        monkeypatch.setenv(f"AIRFLOW__TRIGGERER__{name}", "25")
    assert triggerer_capacity() == 25
