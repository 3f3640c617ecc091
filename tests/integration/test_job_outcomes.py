"""Ends of a wait for a job: the table of outcomes, every row in every mode."""

import json
import re
from datetime import timedelta
from functools import partial

import pytest

from airflow_pixverse.api.http import public_addresses
from airflow_pixverse.sensors.job import PixverseJobSensor
from airflow_pixverse.simulator import faults
from airflow_pixverse.triggers.job import PixverseJobTrigger
from tests.helpers import sensors
from tests.helpers.sensors import FINAL, FLAGS, MODES, RETRIED, TIMED_OUT, in_every_mode
from tests.helpers.submits import downloads, elsewhere

wait = partial(sensors.wait, PixverseJobSensor)
ends = partial(sensors.ends, PixverseJobSensor)


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
def only_loopback_is_public(sim, monkeypatch):
    """A connection that reads no private addresses but the simulator's."""
    monkeypatch.setattr(public_addresses, "_is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps({**sim.connection, "extra": "{}"}))


def calls(number, mode):
    """Return how often a result is asked for: once more after a wait in the triggerer, by the worker."""
    return number + bool(mode.get("deferrable"))


def result_calls(sim):
    """The requests for results."""
    return [request for request in sim.requests if "/scheduler/" not in request.path]


def test_sensor_of_a_finished_job_succeeds_with_its_result_in_the_xcom(sim, mode, job):
    sim.end_job(job)
    outcome = wait(mode, job_id=job)
    assert outcome.end("wait") == ("success", 1)
    result = outcome.xcom("wait")
    facts = {"id": job, "kind": "video", "email": "a-1@example.com", "state": "COMPLETED"}
    assert facts.items() <= result.items()
    assert result["url"].startswith(f"{sim.url}/media/")
    assert len(result_calls(sim)) == calls(1, mode)


def test_sensor_of_a_job_that_executes_looks_at_the_list_only(sim, mode, job):
    def end_it_after_two_looks():
        sim.wait_for_requests(2)
        assert result_calls(sim) == []
        sim.end_job(job)

    with elsewhere(end_it_after_two_looks):
        assert wait(mode, job_id=job).end("wait") == ("success", 1)
    assert len(result_calls(sim)) == calls(1, mode)


@pytest.mark.parametrize("how", ["failed", "moderated"])
def test_sensor_of_a_job_without_a_result_ends_for_good_and_names_the_reason(ended_job, how, logged):
    job = ended_job(how, "the fox has no tail")
    assert ends(FINAL, job_id=job) == in_every_mode(FINAL)
    reason = rf"{re.escape(job)} .*?{how[:6]}.*?: the fox has no tail"
    assert len(re.findall(reason, logged())) >= len(FINAL) * len(MODES)


def test_sensor_of_a_job_that_is_not_listed_waits_for_it_too(sim, mode):
    off_peak = sim.start_job("a-1@example.com", website=True)
    with elsewhere(lambda: (sim.wait_for_requests(4), sim.end_job(off_peak))):
        assert wait(mode, job_id=off_peak).end("wait") == ("success", 1)
    answers = [request.status for request in result_calls(sim)]
    assert answers[0] == 404
    assert answers[-1] == 200


@pytest.mark.parametrize(
    ("state", "is_final"),
    [("QUEUED", True), ("GENERATING", True), ("SOMETHING_NEW", False), ("COMPLETED", True)],
)
def test_sensor_that_sees_a_state_that_is_no_end_waits_on(sim, mode, job, state, is_final):
    """``COMPLETED`` without a URL is none either, for a while."""
    sim.end_job(job)
    sim.respond_with(job, {"video_id": job, "video_status_name": state, "video_status_final": is_final})

    def end_once_it_was_seen_twice():
        while len(result_calls(sim)) < 3:
            sim.wait_for_requests(sim.request_count + 1)
        sim.respond_with(job, None)

    with elsewhere(end_once_it_was_seen_twice):
        assert wait(mode, job_id=job).end("wait") == ("success", 1)


def test_sensor_at_its_timeout_ends_for_good_and_says_what_was_seen_last(job, logged):
    assert ends(TIMED_OUT, job_id=job, timeout=0.3) == in_every_mode(TIMED_OUT)
    assert f"job {job} is not finished within 0.3 s: executing" in logged()


@pytest.mark.parametrize("call", ["the list", "the result"])
def test_sensor_at_its_timeout_names_the_last_api_error(sim, mode, job, logged, call):
    if call == "the list" and mode.get("mode") == "reschedule":
        pytest.skip("it asks for the result at once")
    sim.end_job(job)
    looks_at = "scheduler/available" if mode.get("deferrable") else "scheduler/"
    path = looks_at if call == "the list" else job
    sim.inject(faults.status(503, {"error": "down for lunch"}), times=None, path=path)
    assert wait(mode, job_id=job, timeout=1).end("wait") == ("failed", 1)
    assert re.search(r"(is not finished within|last API error).* 503 .*down for lunch", logged())


def test_sensor_whose_result_is_refused_for_good_ends_for_good(sim, job):
    sim.end_job(job)
    sim.inject(faults.status(400, {"error": "no such thing"}), times=None, path=job)
    assert ends(FINAL, job_id=job) == in_every_mode(FINAL)
    # It takes two looks, where the wait remembers the first: that is not so in a wait that is rescheduled.
    assert len(result_calls(sim)) == len(FINAL) * (2 + 1 + 2)


@pytest.mark.parametrize("bad", [{"job_id": "{{ '' }}"}, {"pixverse_conn_id": "nowhere"}], ids=str)
def test_sensor_with_a_bad_rendered_value_or_a_missing_connection_ends_for_good(sim, bad):
    wrong = {"job_id": "user:1-pixverse:a@example.com-video:1", **bad}
    assert ends(FINAL, **wrong) == in_every_mode(FINAL)
    assert sim.request_count == 0


@pytest.mark.parametrize("flag", RETRIED)
def test_sensor_waits_on_through_transient_errors(sim, mode, job, flag):
    sim.end_job(job)
    for fault in (faults.status(500), faults.html(), faults.reset(), faults.error_in_200("busy")):
        sim.inject(fault)
        sim.inject(fault, path=job)
    assert wait(mode, job_id=job, **FLAGS[flag]).end("wait") == ("success", 1)


def test_sensor_honours_retry_after_of_a_result(sim, mode, job):
    sim.end_job(job)
    sim.inject(faults.rate_limit(retry_after=2), path=job)
    assert wait(mode, job_id=job).end("wait") == ("success", 1)
    first, second, *_ = result_calls(sim)
    assert second.monotonic - first.monotonic >= 2


def test_sensor_at_its_execution_timeout_fails_and_may_be_retried(sim, job):
    # Slow answers, since each poke of a reschedule sensor has the whole execution_timeout for itself.
    sim.end_job(job)
    sim.inject(faults.slow(5), times=None, path=job)
    assert ends(RETRIED, job_id=job, execution_timeout=timedelta(seconds=0.5)) == in_every_mode(RETRIED)


def test_sensor_whose_result_cannot_be_downloaded_fails_and_may_be_retried(sim, ended_job, tmp_path):
    sim.inject(faults.status(500), path=".mp4", times=None)
    assert ends(RETRIED, job_id=ended_job(), output_path=tmp_path.as_uri()) == in_every_mode(RETRIED)
    assert list(tmp_path.iterdir()) == []


def test_sensor_whose_result_is_too_large_fails_and_may_be_retried(ended_job, tmp_path):
    too_large = {"output_path": tmp_path.as_uri(), "max_bytes": 1}
    assert ends(RETRIED, job_id=ended_job(), **too_large) == in_every_mode(RETRIED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("only_loopback_is_public")
def test_sensor_whose_result_redirects_to_a_private_address_fails_and_may_be_retried(
    sim, ended_job, tmp_path
):
    sim.inject(faults.redirect("http://10.0.0.1/a.mp4"), times=None, path=".mp4")
    assert wait({}, job_id=ended_job(), output_path=tmp_path.as_uri()).end("wait") == ("failed", 2)
    assert [request.status for request in downloads(sim)] == [302, 302]
    assert list(tmp_path.iterdir()) == []


def test_sensor_with_a_bug_fails_and_may_be_retried(job, monkeypatch):
    def fail(*args):
        raise RuntimeError("a bug")

    # On a worker, and in the trigger.
    monkeypatch.setattr(PixverseJobSensor, "poke", fail)
    monkeypatch.setattr(PixverseJobTrigger, "_deadlines", fail)
    assert ends(RETRIED, job_id=job) == in_every_mode(RETRIED)
