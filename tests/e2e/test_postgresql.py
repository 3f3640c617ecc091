"""Airflow on PostgreSQL, as people run it in production, and what becomes of tasks when parts of it die."""

from collections import Counter
from pathlib import Path

import pytest

from airflow_pixverse.simulator import Simulator
from tools.real_airflow import Airflow

DAGS = Path(__file__).parent / "postgresql_dags"
# More than the three tasks that hold a worker each.
SIDE_BY_SIDE = {"AIRFLOW__CORE__PARALLELISM": "8"}


@pytest.fixture(scope="module")
def shared_simulator(secret):
    """A service with ten slots, for which nobody else waits."""
    with Simulator({"a-1@example.com": 10}, token=f"user:1-{secret}") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def airflow(postgresql, shared_simulator, tmp_path_factory):
    """A real Airflow on PostgreSQL, instead of the one that the other files share."""
    home = tmp_path_factory.mktemp("airflow-on-postgresql")
    connections = {"pixverse_default": shared_simulator.connection}
    with Airflow(home, [DAGS], SIDE_BY_SIDE, connections=connections, database=postgresql) as airflow:
        yield airflow


@pytest.fixture
def sim(shared_simulator):
    shared_simulator.end_all_jobs()
    return shared_simulator


class Held:
    """A run of three mapped tasks, each of which keeps a worker until all are released."""

    def __init__(self, airflow, file):
        self.file = file
        self.run = airflow.trigger("held", {"until": str(file)})
        self.workers = [airflow.worker(self.run, "hold", index) for index in range(3)]
        # One that is paused before may be in a transaction, which the database gives up. Airflow 2 then
        # fails the try that runs by the time the worker goes on.
        begun = [file.with_name(f"held-{index}") for index in range(3)]
        airflow.wait_until(lambda: all(one.exists() for one in begun), lambda: f"{begun} are there")

    def release(self):
        self.file.touch()


@pytest.fixture
def held(airflow, tmp_path):
    held = Held(airflow, tmp_path / "until")
    yield held
    held.release()
    airflow.wait_for(held.run)


def test_ten_mapped_waits_each_get_a_slot(airflow, sim, forget):
    sim.fill()
    forget()
    run = airflow.trigger("ten_waits")
    airflow.wait_until_workers_are_done(run, 10)
    sim.end_all_jobs()

    outcome = airflow.wait_for(run)
    assert [wait.ended for wait in outcome.mapped("wait")] == [("success", 1)] * 10
    assert [wait.xcom[0]["email"] for wait in outcome.mapped("wait")] == ["a-1@example.com"] * 10
    assert airflow.worker_runs(run) == {("wait", index): 2 for index in range(10)}  # to defer, and to resume


def test_triggerers_take_over_the_waits_of_one_that_is_paused_or_dies(airflow, sim, forget):
    def wait_until_taken_by(triggerer):
        airflow.wait_until(
            lambda: airflow.metadata.triggerers(run) == {("wait", index): triggerer for index in range(10)},
            lambda: f"{triggerer} has all waits: {airflow.metadata.triggerers(run)}",
        )

    sim.fill()
    forget()
    run = airflow.trigger("ten_waits")
    first = airflow.metadata.last_job_id("TriggererJob")
    wait_until_taken_by(first)
    airflow.start_component("triggerer", name="second triggerer")
    airflow.wait_until_healthy()
    second = airflow.metadata.last_job_id("TriggererJob")
    assert second != first

    airflow.pause("triggerer")
    wait_until_taken_by(second)
    airflow.resume("triggerer")
    airflow.remove("second triggerer")
    wait_until_taken_by(first)
    sim.end_all_jobs()
    assert [wait.ended for wait in airflow.wait_for(run)] == [("success", 1)] * 10


def dead_once(airflow, tasks, run):
    """
    Leave out tasks whose death Airflow 2 noticed more than once.

    It fails them once more for each time, even a later try that has ended (apache/airflow#51969).
    """
    if airflow.major > 2:
        return tasks
    noticed = Counter(row["map_index"] for row in airflow.metadata.audit(run, "heartbeat timeout"))
    return [task for task in tasks if noticed[task.map_index] <= 1]


def are_retried(tasks):
    """Return whether all run again. Airflow 2 may notice twice that a worker is dead: one more try."""
    return all(task.state == "running" and task.try_number > 1 for task in tasks)


def test_a_task_is_retried_whose_worker_is_killed_or_paused_and_stays_as_it_ends(airflow, held):
    killed_task, killed, paused = held.workers
    killed_task.kill_task()
    killed.kill()
    paused.pause()
    airflow.wait_until_tasks(held.run, are_retried)
    held.release()

    ends = dead_once(airflow, airflow.wait_for(held.run), held.run)
    assert [task.state for task in ends] == ["success"] * len(ends)
    assert [task.xcom for task in ends] == [[task.map_index, task.try_number] for task in ends]
    paused.resume()
    airflow.wait_until(lambda: not paused.is_alive, lambda: "the paused task has ended")
    # Airflow lets through what it pushes to XCom on its way.
    after = dead_once(airflow, airflow.outcome(held.run), held.run)
    assert [task.ended for task in after] == [task.ended for task in ends]


def test_all_of_airflow_is_killed_and_started_again(airflow, sim, held, forget):
    sim.fill()
    forget()
    waits = airflow.trigger("ten_waits")
    airflow.wait_until_tasks(waits, lambda tasks: {task.state for task in tasks} == {"deferred"})
    airflow.kill_all()
    assert not any(worker.is_alive for worker in held.workers)

    airflow.start_all()
    held.release()
    sim.end_all_jobs()
    assert [task.state for task in airflow.wait_for(held.run)] == ["success"] * 3
    assert [wait.ended for wait in airflow.wait_for(waits)] == [("success", 1)] * 10


def test_one_instance_of_a_mapped_task_is_cleared(airflow, held):
    held.release()
    before = airflow.wait_for(held.run)
    assert [task.xcom for task in before] == [[0, 1], [1, 1], [2, 1]]

    airflow.clear(held.run, "hold", 1)
    after = airflow.wait_until_tasks(held.run, lambda tasks: tasks[1].ended == ("success", 2))
    assert [task.xcom for task in after] == [[0, 1], [1, 2], [2, 1]]
    assert [after[0], after[2]] == [before[0], before[2]]
