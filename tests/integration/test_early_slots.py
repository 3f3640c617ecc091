"""PixverseSubmitOperator where the gate lets it through before its slot is free."""

import pytest

from airflow_pixverse.gate.forecast import Forecast
from airflow_pixverse.gate.leases import Leases
from airflow_pixverse.submission import last_look
from tests.helpers.submits import elsewhere, ending_jobs, posts, submit

pytestmark = [pytest.mark.pixverse_simulator(accounts={"a@example.com": 1}, job_seconds=(600, 600))]


@pytest.fixture(autouse=True)
def always_early(monkeypatch):
    """A gate that expects each job to end soon, once."""

    def all_jobs(forecast, now, within):
        return [(job_id, run.email) for job_id, run in forecast._runs.items() if job_id not in forecast._used]

    monkeypatch.setattr(Forecast, "ending", all_jobs)
    monkeypatch.setattr(Forecast, "usual_seconds", lambda *_: 0.0)
    monkeypatch.setattr(Leases, "handover", 4.0)
    monkeypatch.setattr(last_look, "_LOOK_EVERY", 0.1)


def test_worker_waits_for_the_job_to_end_and_submits_once(sim, logged):
    sim.fill()

    def end():
        sim.wait_for_requests(4)  # one of the gate, the others of the worker
        assert posts(sim) == []
        sim.end_all_jobs()

    with elsewhere(end), ending_jobs(sim):
        outcome = submit(deferrable=True, poke_interval=60, max_refusals=0, retries=0)
    assert outcome.state("make") == "success"
    assert [post.status for post in posts(sim)] == [200]
    assert "Got the next slot" in logged()


def test_job_that_goes_on_sends_the_task_back_to_its_place_without_a_refusal(sim, monkeypatch, logged):
    monkeypatch.setattr(last_look, "LONGEST_LOOK", 0.3)
    sim.fill()

    def end():
        sim.wait_for_requests(8)  # those of the worker, and more of the gate
        sim.end_all_jobs()

    with elsewhere(end), ending_jobs(sim):
        outcome = submit(deferrable=True, max_refusals=0, retries=0)
    assert outcome.state("make") == "success"
    assert [post.status for post in posts(sim)] == [200]
    assert "was about to end goes on. Back to the queue" in logged()
