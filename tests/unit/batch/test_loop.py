"""The times of the loop, and the threads that make its calls."""

import dataclasses
import threading
import time
from types import SimpleNamespace

import pytest

from airflow_pixverse.batch import row_work
from airflow_pixverse.batch.loop import BatchLoop
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission import lost_jobs
from tests.unit.batch.conftest import posts, prompts, running


def loop_with(*, is_awaited=False, is_shared=False):
    """A loop whose last row was accepted at second 109."""
    return BatchLoop(
        [],
        looks=SimpleNamespace(is_awaited=is_awaited),
        submitting=SimpleNamespace(accepted_at=109.0, is_shared=is_shared),
        following=None,
        steps=None,
        poke_interval=5.0,
        reconnect=None,
    )


@pytest.mark.parametrize(("is_awaited", "next_look"), [(False, 114.0), (True, 103.0)])
def test_look_that_is_awaited_does_not_wait_for_rows_that_are_accepted(is_awaited, next_look):
    assert loop_with(is_awaited=is_awaited)._next_look(100.0, 101.0) == next_look


def test_looks_are_closer_where_other_tasks_wait_for_slots_too():
    assert loop_with(is_shared=True)._next_look(100.0, 101.0) == 111.0


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 16}, job_seconds=(0.1, 0.2))
def test_lost_answers_keep_no_other_row_from_being_sent(sim, batch, monkeypatch):
    monkeypatch.setattr(lost_jobs, "TIMING", dataclasses.replace(lost_jobs.TIMING, look_for=5.0, every=0.1))
    sim.inject(faults.lost_request(), times=8, method="POST")  # as many as are sent at once
    run = batch.new_run(prompts(*range(16)))
    with running(run) as future:
        began = time.monotonic()
        while len(posts(sim)) < 16 and time.monotonic() - began < 4.0:
            time.sleep(0.05)
        assert len(posts(sim)) >= 16
        assert future.result()["made"] == 16


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 4}, job_seconds=(0.1, 0.2))
def test_inputs_are_uploaded_beside_each_other(sim, batch, tmp_path, monkeypatch):
    upload, barrier = row_work.upload, threading.Barrier(2, timeout=20)

    def meet(client, source):
        barrier.wait()
        return upload(client, source)

    monkeypatch.setattr(row_work, "upload", meet)
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG" + bytes([number]))
    rows = [{"prompt": f"cat {number}", "frame": f"{number}.png"} for number in range(2)]
    payload = {"prompt": "{prompt}", "first_frame_path": "{frame}"}
    assert batch(rows, payload=payload, plan={"input_folder": tmp_path.as_uri()})["made"] == 2


@pytest.mark.pixverse_simulator(job_seconds=(0.1, 0.2))
@pytest.mark.parametrize(("poke_interval", "seconds"), [(0.1, 0.3), (0.0, 0.0)])
def test_look_that_takes_longer_than_the_interval_starves_no_outcome(sim, batch, poke_interval, seconds):
    sim.inject(faults.slow(seconds), times=None, path="scheduler/available")
    run = batch.new_run(prompts(1, 2), poke_interval=poke_interval)
    with running(run) as future:
        try:
            assert future.result(timeout=60)["made"] == 2
        finally:
            run.kill()


@pytest.mark.pixverse_simulator(job_seconds=(1.0, 1.0))
def test_interval_of_no_seconds_still_leaves_a_pause_after_each_look(sim, batch):
    batch(prompts(1), poke_interval=0.0)
    looks = [one.monotonic for one in sim.requests if one.path.endswith("scheduler/available")]
    assert len(looks) <= 2 + (looks[-1] - looks[0]) / 0.1
