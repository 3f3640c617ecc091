"""
How a wait for a job ends: the table of outcomes, every row in every mode.

Each sensor here has one retry, so that an end that must not be retried shows in the number of tries.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from airflow_pixverse.sensors.job import PixverseJobSensor
from airflow_pixverse.simulator import faults
from airflow_pixverse.triggers.job import PixverseJobTrigger
from tests.integration.dag_runs import new_dag, run
from tests.integration.submits import elsewhere
from tests.integration.test_sensor_outcomes import ONCE, ended, fails_and_may_be_retried

MODES = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}

ends_at_once = pytest.mark.parametrize(
    ("flags", "end"),
    [
        ({}, "failed"),
        ({"soft_fail": True}, "failed"),
        ({"silent_fail": True}, "failed"),
        ({"never_fail": True}, "skipped"),
    ],
    ids=str,
)


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


@pytest.fixture
def job(sim):
    """A job that executes until it is ended."""
    return sim.start_job("a-1@example.com")


@pytest.fixture
def ended_job(sim):
    """A function that returns a job which has ended in some way."""

    def end(*how):
        job = sim.start_job("a-1@example.com")
        sim.end_job(job, *how)
        return job

    return end


@pytest.fixture
def broken(monkeypatch):
    """A bug on a worker and in the trigger."""

    def fail(*args):
        raise RuntimeError("a bug")

    monkeypatch.setattr(PixverseJobSensor, "poke", fail)
    monkeypatch.setattr(PixverseJobTrigger, "_deadlines", fail)


@pytest.fixture
def unreachable(sim, tmp_path, monkeypatch):
    """A folder, and a service whose files do not arrive there."""
    monkeypatch.setattr("airflow_pixverse.storage.download._FIRST_PAUSE", 0.0)
    sim.inject(faults.status(500), path=".mp4", times=None)
    return tmp_path


@pytest.fixture(autouse=True)
def _minutes_are_short(monkeypatch):
    """A job that is not listed is asked for more often than once a minute."""
    monkeypatch.setattr("airflow_pixverse.result_pacing._UNLISTED", 0.5)


def wait(mode, job_id, **kwargs):
    with new_dag("wait") as dag:
        PixverseJobSensor(
            task_id="wait",
            job_id=job_id,
            **{"poke_interval": 0.2, "timeout": 60, "retries": 1, "retry_delay": 0, **mode, **kwargs},
        )
    return run(dag)


def result_calls(sim):
    """The requests for results."""
    return [request for request in sim.requests if "/scheduler/" not in request.path]


def test_a_job_that_is_finished_succeeds_with_its_result_in_the_xcom(sim, mode, job):
    sim.end_job(job)
    outcome = wait(mode, job)
    assert ended(outcome) == ("success", ONCE)
    result = outcome.xcom("wait")
    assert {"id": job, "kind": "video", "email": "a-1@example.com", "state": "COMPLETED"}.items() <= (
        result.items()
    )
    assert result["url"].startswith(f"{sim.url}/media/")
    assert len(result_calls(sim)) == 1


def test_while_a_job_executes_only_the_list_is_looked_at(sim, mode, job):
    with ThreadPoolExecutor() as elsewhere:

        def end_it_after_two_looks():
            sim.wait_for_requests(2, timeout=60)
            assert result_calls(sim) == []
            sim.end_job(job)

        ending = elsewhere.submit(end_it_after_two_looks)
        assert ended(wait(mode, job)) == ("success", ONCE)
        ending.result()
    assert len(result_calls(sim)) == 1


@pytest.mark.parametrize("how", ["failed", "moderated"])
@ends_at_once
def test_a_job_without_a_result_is_final(ended_job, mode, flags, end, how):
    assert ended(wait(mode, ended_job(how), **flags)) == (end, ONCE)


@pytest.mark.parametrize("how", ["failed", "moderated"])
def test_the_reason_of_a_job_without_a_result_is_named(ended_job, mode, how, logged):
    job = ended_job(how, "the fox has no tail")
    wait(mode, job)
    assert re.search(rf"{re.escape(job)} .*{how[:6]}.*: the fox has no tail", logged())


def test_a_job_that_is_not_listed_is_waited_for_too(sim, mode):
    off_peak = sim.start_job("a-1@example.com", website=True)
    with ThreadPoolExecutor() as elsewhere:

        def end_it_after_two_questions():
            sim.wait_for_requests(4, timeout=60)
            sim.end_job(off_peak)

        elsewhere.submit(end_it_after_two_questions)
        assert ended(wait(mode, off_peak)) == ("success", ONCE)
    answers = [request.status for request in result_calls(sim)]
    assert answers[0] == 404
    assert answers[-1] == 200


@pytest.mark.parametrize("state", ["QUEUED", "GENERATING", "SOMETHING_NEW", "COMPLETED"])
def test_a_state_that_is_no_end_ends_no_wait(sim, mode, job, state):
    """``COMPLETED`` without a URL is none either."""
    sim.end_job(job)
    sim.respond_with(job, {"video_id": job, "video_status_name": state, "video_status_final": True})

    def end_once_it_was_seen_twice():
        while len(result_calls(sim)) < 3:
            sim.wait_for_requests(sim.request_count + 1)
        sim.respond_with(job, None)

    with elsewhere(end_once_it_was_seen_twice):
        assert ended(wait(mode, job)) == ("success", ONCE)


@pytest.mark.parametrize(
    ("flags", "end"),
    [({}, "failed"), ({"soft_fail": True}, "skipped"), ({"never_fail": True}, "skipped")],
    ids=str,
)
def test_timeout_is_final(mode, job, flags, end):
    assert ended(wait(mode, job, timeout=0.5, **flags)) == (end, ONCE)


def test_a_timeout_in_the_triggerer_says_what_was_seen_last(job, logged):
    wait(MODES["deferrable"], job, timeout=0.5)
    assert f"job {job} is not finished within 0.5 s: executing" in logged()


@pytest.mark.parametrize("call", ["the list", "the result"])
def test_the_timeout_names_the_last_api_error(sim, mode, job, logged, call):
    sim.end_job(job)
    looks_at = "scheduler/available" if mode.get("deferrable") else "scheduler/"
    path = looks_at if call == "the list" else job
    sim.inject(faults.status(503, {"error": "down for lunch"}), times=None, path=path)
    assert ended(wait(mode, job, timeout=1)) == ("failed", ONCE)
    assert re.search(r"(is not finished within|last API error).* 503 .*down for lunch", logged())


@ends_at_once
def test_a_bad_token_is_final(sim, mode, job, flags, end):
    sim.token = "user:2-rotated"
    assert ended(wait(mode, job, **flags)) == (end, ONCE)
    assert sim.request_count == (2 if mode.get("deferrable") else 1)


@ends_at_once
def test_a_result_that_is_refused_for_good_is_final(sim, mode, job, flags, end):
    sim.end_job(job)
    sim.inject(faults.status(400, {"error": "no such thing"}), times=None, path=job)
    assert ended(wait(mode, job, **flags)) == (end, ONCE)
    # Deferred, it takes two looks.
    assert len(result_calls(sim)) == (2 if mode.get("deferrable") else 1)


@pytest.mark.parametrize(
    ("flags", "end"),
    [({}, "failed"), ({"soft_fail": True}, "failed"), ({"never_fail": True}, "skipped")],
    ids=str,
)
@pytest.mark.parametrize("bad", [{"job_id": "{{ '' }}"}, {"pixverse_conn_id": "nowhere"}], ids=str)
def test_a_bad_rendered_value_and_a_missing_connection_are_final(sim, mode, flags, end, bad):
    assert ended(wait(mode, **{"job_id": "user:1-pixverse:a@example.com-video:1", **bad, **flags})) == (
        end,
        ONCE,
    )
    assert sim.request_count == 0


@pytest.mark.parametrize("flags", [{}, {"soft_fail": True}, {"never_fail": True}], ids=str)
def test_transient_errors_keep_it_waiting(sim, mode, job, flags):
    sim.end_job(job)
    for fault in (faults.status(500), faults.html(), faults.reset(), faults.error_in_200("busy")):
        sim.inject(fault)
        sim.inject(fault, path=job)
    assert ended(wait(mode, job, **flags)) == ("success", ONCE)


def test_retry_after_of_a_result_is_honoured(sim, mode, job):
    sim.end_job(job)
    sim.inject(faults.rate_limit(retry_after=2), path=job)
    assert ended(wait(mode, job)) == ("success", ONCE)
    first, second = result_calls(sim)
    assert second.monotonic - first.monotonic >= 2


@fails_and_may_be_retried
def test_execution_timeout_fails_and_may_be_retried(sim, mode, job, flags, end):
    # Slow answers, since each poke of a reschedule sensor has the whole execution_timeout for itself.
    sim.end_job(job)
    sim.inject(faults.slow(5), times=None, path=job)
    assert ended(wait(mode, job, execution_timeout=timedelta(seconds=2), **flags)) == end


@fails_and_may_be_retried
def test_a_result_that_cannot_be_stored_fails_and_may_be_retried(mode, ended_job, unreachable, flags, end):
    assert ended(wait(mode, ended_job(), output_path=unreachable.as_uri(), **flags)) == end
    assert list(unreachable.iterdir()) == []


@pytest.mark.usefixtures("broken")
@fails_and_may_be_retried
def test_a_bug_fails_and_may_be_retried(mode, job, flags, end):
    assert ended(wait(mode, job, **flags)) == end
