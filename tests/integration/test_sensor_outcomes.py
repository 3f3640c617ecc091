"""Ends of a wait for slots: the table of outcomes, every row in every mode."""

import logging
import os
import re
import threading
from datetime import timedelta
from functools import partial

import pytest

from airflow_pixverse.gate import capacity_gate, suspicion
from airflow_pixverse.hooks import lookup
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.simulator import faults
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from tests.helpers import sensors
from tests.helpers.sensors import FINAL, FLAGS, RETRIED, TIMED_OUT
from tests.helpers.submits import elsewhere

MODES = sensors.MODES | {"deferrable without lease": {"deferrable": True, "lease": 0}}
SUCCESS = dict.fromkeys(("default", "soft_fail", "never_fail"), ("success", 1))

wait = partial(sensors.wait, PixverseCapacitySensor)
ends = partial(sensors.ends, PixverseCapacitySensor, modes=MODES)
in_every_mode = partial(sensors.in_every_mode, modes=MODES)


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


def test_sensor_with_free_slots_succeeds_with_the_accounts_in_the_xcom(sim, mode):
    sim.start_job("a-1@example.com")
    outcome = wait(mode, slots=4)
    assert outcome.end("wait") == ("success", 1)
    assert outcome.xcom("wait") == [
        {"email": "a-2@example.com", "maxJobs": 3, "executing": 0, "available": 3},
        {"email": "a-1@example.com", "maxJobs": 3, "executing": 1, "available": 2},
    ]


def test_sensor_without_free_slots_waits_until_they_become_free(sim, mode):
    sim.fill()
    with elsewhere(lambda: (sim.wait_for_requests(2), sim.end_all_jobs())):
        assert wait(mode, slots=2).end("wait") == ("success", 1)


def test_sensor_at_its_timeout_ends_for_good(sim):
    sim.fill()
    assert ends(TIMED_OUT, timeout=0.3) == in_every_mode(TIMED_OUT)


def test_sensor_at_its_timeout_names_the_last_api_error(sim, mode, logged):
    sim.inject(faults.status(503, {"error": "down for lunch"}), times=None)
    assert wait(mode, timeout=0.5).end("wait") == ("failed", 1)
    assert re.search("last API error: .*GET scheduler/available.* 503 .*down for lunch", logged())


def test_sensor_with_a_bad_token_ends_for_good(sim):
    sim.token = "user:2-rotated"
    assert ends(FINAL) == in_every_mode(FINAL)
    # A verdict that ends the waits of others too, with a lease in the triggerer, takes two looks.
    assert sim.request_count == len(FINAL) * (len(MODES) + 1)


@pytest.mark.parametrize("flag", SUCCESS)
def test_sensor_whose_connection_is_not_found_for_a_moment_waits_on(sim, mode, flag, monkeypatch):
    """Airflow says "not found" also where it cannot ask just now."""
    connection = os.environ.pop("AIRFLOW_CONN_PIXVERSE_DEFAULT")
    monkeypatch.setattr(lookup, "SECOND_LOOK_AFTER", 0.5)
    monkeypatch.setattr(suspicion, "SECOND_LOOK", 0.5)
    found_again = threading.Event()

    def come_back(record):
        if "not defined" in record.getMessage():
            monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", connection)
            found_again.set()
        return True

    for module in (lookup, capacity_gate):
        monkeypatch.setattr(logging.getLogger(module.__name__), "filters", [come_back])
    assert wait(mode, **FLAGS[flag]).end("wait") == ("success", 1)
    assert found_again.is_set()


def test_log_of_a_skipped_sensor_says_what_was_in_the_way(sim, mode, logged):
    sim.start_job("a-1@example.com")
    outcome = wait(mode, timeout=0.5, emails=["typo@example.com", "a-1@example.com"], slots=4, soft_fail=True)
    assert outcome.end("wait") == ("skipped", 1)
    log = logged()
    for word in ("Skipping: ", "2 free", "4 wanted", "typo@example.com"):
        assert word in log


def test_sensor_with_a_missing_connection_ends_for_good():
    assert ends(FINAL, pixverse_conn_id="nowhere") == in_every_mode(FINAL)


def test_sensor_with_a_bad_rendered_value_ends_for_good_without_a_request(sim):
    assert ends(FINAL, slots="{{ 0 }}") == in_every_mode(FINAL)
    assert sim.request_count == 0


@pytest.mark.parametrize("flag", SUCCESS)
def test_sensor_waits_on_through_transient_errors(sim, mode, flag):
    for fault in (faults.status(500), faults.html(), faults.reset(), faults.error_in_200("busy")):
        sim.inject(fault)
    assert wait(mode, **FLAGS[flag]).end("wait") == ("success", 1)
    assert sim.request_count == 5


def test_sensor_honours_retry_after(sim, mode):
    sim.inject(faults.rate_limit(retry_after=2))
    assert wait(mode).end("wait") == ("success", 1)
    first, second = sim.requests
    assert second.monotonic - first.monotonic >= 2


def test_sensor_ends_at_its_timeout_whatever_retry_after_says(sim):
    sim.inject(faults.rate_limit(retry_after=3600), times=None)
    assert ends(["default"], timeout=0.5) == in_every_mode({"default": ("failed", 1)})


def test_sensor_at_its_execution_timeout_fails_and_may_be_retried(sim):
    # Slow answers, since each poke of a reschedule sensor has the whole execution_timeout for itself.
    sim.inject(faults.slow(5), times=None)
    assert ends(RETRIED, execution_timeout=timedelta(seconds=0.5)) == in_every_mode(RETRIED)


def test_sensor_with_a_bug_fails_and_may_be_retried(sim, monkeypatch):
    def broken(*args):
        raise RuntimeError("a bug")

    # On a worker and in the trigger; in the shared poll it would count as a failed poll.
    monkeypatch.setattr(PixverseCapacitySensor, "poke", broken)
    monkeypatch.setattr(PixverseCapacityTrigger, "_deadlines", broken)
    assert ends(RETRIED) == in_every_mode(RETRIED)
