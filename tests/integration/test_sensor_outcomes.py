"""
How a wait ends: the table of outcomes, every row in every mode.

Each sensor here has one retry, so that an end that must not be retried shows in the number of tries.
"""

import logging
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.simulator import faults
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from tests.integration.dag_runs import new_dag, run

MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
    "deferrable without lease": {"deferrable": True, "lease": 0},
}
ONCE, TWICE = [1], [2]

fails_and_may_be_retried = pytest.mark.parametrize(
    ("flags", "end"),
    [
        ({}, ("failed", TWICE)),
        ({"soft_fail": True}, ("failed", TWICE)),
        ({"never_fail": True}, ("skipped", ONCE)),
    ],
    ids=str,
)


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


def wait(mode, **kwargs):
    with new_dag("wait") as dag:
        PixverseCapacitySensor(
            task_id="wait",
            **{"poke_interval": 0.2, "timeout": 60, "retries": 1, "retry_delay": 0, **mode, **kwargs},
        )
    return run(dag)


def ended(outcome):
    return outcome.state("wait"), outcome.tries["wait"]


def test_free_slots_succeed_with_the_accounts_in_the_xcom(sim, mode):
    sim.start_job("a-1@example.com")
    outcome = wait(mode, slots=4)
    assert ended(outcome) == ("success", ONCE)
    assert outcome.xcom("wait") == [
        {"email": "a-2@example.com", "maxJobs": 3, "executing": 0, "available": 3},
        {"email": "a-1@example.com", "maxJobs": 3, "executing": 1, "available": 2},
    ]


def test_it_waits_until_slots_become_free(sim, mode):
    sim.fill()
    with ThreadPoolExecutor() as elsewhere:

        def end_jobs_after_the_first_look():
            sim.wait_for_requests(2, timeout=60)
            sim.end_all_jobs()

        elsewhere.submit(end_jobs_after_the_first_look)
        assert ended(wait(mode, slots=2)) == ("success", ONCE)


@pytest.mark.parametrize(
    ("flags", "end"),
    [({}, "failed"), ({"soft_fail": True}, "skipped"), ({"never_fail": True}, "skipped")],
    ids=str,
)
def test_timeout_is_final(sim, mode, flags, end):
    sim.fill()
    assert ended(wait(mode, timeout=0.5, **flags)) == (end, ONCE)


def test_the_timeout_names_the_last_api_error(sim, mode, logged):
    sim.inject(faults.status(503, {"error": "down for lunch"}), times=None)
    assert ended(wait(mode, timeout=0.5)) == ("failed", ONCE)
    assert re.search("last API error: .*GET scheduler/available.* 503 .*down for lunch", logged())


@pytest.mark.parametrize(
    ("flags", "end"),
    [
        ({}, "failed"),
        ({"soft_fail": True}, "failed"),
        ({"silent_fail": True}, "failed"),
        ({"never_fail": True}, "skipped"),
    ],
    ids=str,
)
def test_a_bad_token_is_final(sim, mode, flags, end):
    sim.token = "user:2-rotated"
    assert ended(wait(mode, **flags)) == (end, ONCE)
    # Where a verdict ends the waits of others too, it takes two looks.
    shared_verdict = mode == MODES["deferrable"]
    assert sim.request_count == (2 if shared_verdict else 1)


@pytest.mark.parametrize("flags", [{}, {"soft_fail": True}, {"never_fail": True}], ids=str)
def test_a_connection_that_is_not_found_for_a_moment_ends_no_wait(sim, mode, flags, monkeypatch):
    """Airflow says "not found" also where it cannot ask just now."""
    connection = os.environ.pop("AIRFLOW_CONN_PIXVERSE_DEFAULT")
    monkeypatch.setattr("airflow_pixverse.hooks.lookup.SECOND_LOOK_AFTER", 1.0)
    monkeypatch.setattr("airflow_pixverse.gate.pacing.SECOND_LOOK", 1.0)
    found_again = threading.Event()

    def come_back(record):
        if "not defined" in record.getMessage():
            monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", connection)
            found_again.set()
        return True

    for name in ("airflow_pixverse.hooks.lookup", "airflow_pixverse.gate.capacity_gate"):
        monkeypatch.setattr(logging.getLogger(name), "filters", [come_back])
    assert ended(wait(mode, **flags)) == ("success", ONCE)
    assert found_again.is_set()


def test_a_skip_says_why(sim, mode, logged):
    sim.fill()
    assert ended(wait(mode, timeout=0.5, soft_fail=True)) == ("skipped", ONCE)
    assert "Skipping: " in logged()


def test_the_log_says_what_is_in_the_way_of_a_wait(sim, mode, logged):
    sim.start_job("a-1@example.com")
    assert ended(wait(mode, timeout=0.5, emails=["typo@example.com", "a-1@example.com"], slots=4)) == (
        "failed",
        ONCE,
    )
    log = logged()
    assert "2 free" in log
    assert "4 wanted" in log
    assert "typo@example.com" in log


@pytest.mark.parametrize(
    ("flags", "end"),
    [({}, "failed"), ({"soft_fail": True}, "failed"), ({"never_fail": True}, "skipped")],
    ids=str,
)
def test_a_missing_connection_is_final(mode, flags, end):
    assert ended(wait(mode, pixverse_conn_id="nowhere", **flags)) == (end, ONCE)


@pytest.mark.parametrize(
    ("flags", "end"),
    [({}, "failed"), ({"soft_fail": True}, "failed"), ({"never_fail": True}, "skipped")],
    ids=str,
)
def test_a_bad_rendered_value_is_final(sim, mode, flags, end):
    assert ended(wait(mode, slots="{{ 0 }}", **flags)) == (end, ONCE)
    assert sim.request_count == 0


@pytest.mark.parametrize("flags", [{}, {"soft_fail": True}, {"never_fail": True}], ids=str)
def test_transient_errors_keep_it_waiting(sim, mode, flags):
    for fault in (faults.status(500), faults.html(), faults.reset(), faults.error_in_200("busy")):
        sim.inject(fault)
    assert ended(wait(mode, **flags)) == ("success", ONCE)
    assert sim.request_count == 5


def test_retry_after_is_honoured(sim, mode):
    sim.inject(faults.rate_limit(retry_after=2))
    assert ended(wait(mode)) == ("success", ONCE)
    first, second = sim.requests
    assert second.monotonic - first.monotonic >= 2


def test_retry_after_does_not_put_off_the_timeout(sim, mode):
    sim.inject(faults.rate_limit(retry_after=3600), times=None)
    assert ended(wait(mode, timeout=1)) == ("failed", ONCE)


@fails_and_may_be_retried
def test_execution_timeout_fails_and_may_be_retried(sim, mode, flags, end):
    # Slow answers, since each poke of a reschedule sensor has the whole execution_timeout for itself.
    sim.inject(faults.slow(5), times=None)
    assert ended(wait(mode, execution_timeout=timedelta(seconds=1), **flags)) == end


@fails_and_may_be_retried
def test_a_bug_fails_and_may_be_retried(sim, mode, flags, end, monkeypatch):
    def broken(*args):
        raise RuntimeError("a bug")

    # On a worker and in the trigger; in the shared poll it would count as a failed poll.
    monkeypatch.setattr(PixverseCapacitySensor, "poke", broken)
    monkeypatch.setattr(PixverseCapacityTrigger, "_deadlines", broken)
    assert ended(wait(mode, **flags)) == end
