"""Marks across processes: a worker is killed and the next try finds its mark, a cleared task finds none."""

import pytest


@pytest.fixture
def left_behind(airflow):
    """A function that counts the marks of a DAG in the stores that drop them after success."""

    def count(dag_id):
        found = airflow.metadata.query(
            "select key from variable where description like :part", part=f"%of DAG {dag_id} %"
        )
        if "task_state_store" in airflow.metadata.tables():
            found += airflow.metadata.query(
                "select key from task_state_store where dag_id = :dag_id", dag_id=dag_id
            )
        return len(found)

    return count


@pytest.fixture
def wait_until_none_is_left(airflow, left_behind):
    """A function that waits for the success callback, which runs after the success is known."""

    def wait(dag_id):
        airflow.wait_until(
            lambda: left_behind(dag_id) == 0, lambda: f"no mark is left, of {left_behind(dag_id)}"
        )

    return wait


def test_a_retry_finds_the_mark_of_a_worker_that_was_killed_and_success_drops_it(
    airflow, wait_until_none_is_left
):
    run = airflow.trigger("marks_retried")
    outcome = airflow.wait_for(run)

    assert [task.ended for task in outcome] == [("success", 2)] * 3
    references = [[mark["reference"] for mark in task.xcom["before"]] for task in outcome]
    assert references == [["airflow:mapped/0#1"], ["airflow:mapped/1#1"], ["airflow:submit/-1#1"]]
    assert [task.xcom["after"] for task in outcome] == [2, 2, 2]
    wait_until_none_is_left("marks_retried")


def test_a_cleared_task_finds_no_mark_of_its_life_before(airflow, left_behind, wait_until_none_is_left):
    run = airflow.trigger("marks_cleared")
    assert airflow.wait_for(run).task("submit").ended == ("failed", 1)
    assert left_behind("marks_cleared") == (0 if airflow.major == 2 else 1)

    airflow.command("tasks", "clear", "--yes", "marks_cleared")
    airflow.wait_until(
        lambda: airflow.outcome(run).task("submit").ended == ("success", 2),
        lambda: f"the cleared task is over: {airflow.outcome(run)}",
    )
    assert airflow.outcome(run).task("submit").xcom == {"before": [], "after": 1}
    wait_until_none_is_left("marks_cleared")
