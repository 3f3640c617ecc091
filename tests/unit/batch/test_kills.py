"""A batch that is ended from outside: nothing more is sent, and another try brings home what runs."""

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_pixverse.batch.looks import StoppedError
from airflow_pixverse.simulator import faults
from tests.unit.batch.conftest import kill_after, posts, prompts, running

ended_by_hand = pytest.mark.pixverse_simulator(job_seconds=(600, 600))


def test_kill_before_the_loop_begins_submits_nothing(sim, batch):
    run = batch.new_run(prompts(1))
    run.kill()
    with pytest.raises(AirflowException, match="ended from outside"):
        run.run()
    assert posts(sim) == []


def test_kill_stops_the_threads_before_the_loop_notices(sim, batch):
    run = batch.new_run(prompts(1))
    sim.inject(faults.hold(), path="scheduler/available")
    with running(run) as future:
        sim.wait_for_held(1)  # the thread of the loop waits for the answer
        run.kill()
        with pytest.raises(StoppedError):
            run._loop._looks.sleep(0)
        sim.release()
        with pytest.raises(AirflowException, match="ended from outside"):
            future.result()
    assert posts(sim) == []


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 30}, job_seconds=(600, 600))
def test_kill_while_many_rows_are_sent_makes_none_of_them_unknown(sim, batch):
    sim.inject(faults.hold(), times=None, method="POST")
    run = batch.new_run(prompts(*range(20)))
    with running(run) as future:
        sim.wait_for_held(8)  # as many as are sent at once
        run.kill()
        sim.clear_faults()
        sim.release()
        with pytest.raises(AirflowException, match="ended from outside"):
            future.result()
    assert set(batch.statuses) <= {"running", "waiting"}
    again = batch.new_run(prompts(*range(20)))
    with running(again) as future:
        sim.wait_for_submitted(20)
        sim.end_all_jobs()
        assert future.result()["counts"]["stored"] == 20
    assert len(posts(sim)) == 20


@ended_by_hand
def test_kill_ends_the_batch_without_success_and_a_retry_brings_home_what_runs(sim, batch):
    kill_after(lambda: sim.wait_for_submitted(2), batch.new_run(prompts(1, 2)))
    again = batch.new_run(prompts(1, 2))
    with running(again) as future:
        sim.wait_for_requests(sim.request_count + 1)
        sim.end_all_jobs()
        assert future.result()["made"] == 2
    assert len(posts(sim)) == 2
