"""Records across processes: a worker is killed, or a task is cleared, and the next try finds its record."""

import pytest

from airflow_pixverse.capabilities import CLEAR_DROPS_TASK_STATE


@pytest.fixture
def left_behind(airflow):
    """A function that counts the records of a DAG in the stores that drop them after success."""

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
            lambda: left_behind(dag_id) == 0, lambda: f"no record is left, of {left_behind(dag_id)}"
        )

    return wait


def test_a_retry_finds_the_mark_of_a_worker_that_was_killed_and_success_drops_it(
    airflow, wait_until_none_is_left
):
    run = airflow.trigger("records_retried")
    outcome = airflow.wait_for(run)

    assert [task.ended for task in outcome] == [("success", 2)] * 3
    references = [[record["reference"] for record in task.xcom["before"]] for task in outcome]
    assert references == [["airflow:mapped/0#1"], ["airflow:mapped/1#1"], ["airflow:submit/-1#1"]]
    assert [task.xcom["after"] for task in outcome] == [2, 2, 2]
    wait_until_none_is_left("records_retried")


@pytest.mark.parametrize("keep_task_state", [True, False], ids=["task state kept", "without a tick"])
def test_a_cleared_task_finds_the_mark_of_its_life_before_where_it_is_kept(
    airflow, left_behind, wait_until_none_is_left, keep_task_state
):
    run = airflow.trigger("records_cleared")
    assert airflow.wait_for(run).task("submit").ended == ("failed", 1)
    assert left_behind("records_cleared") == (0 if airflow.major == 2 else 1)

    airflow.clear(run, "submit", keep_task_state=keep_task_state)
    airflow.wait_until(
        lambda: airflow.outcome(run).task("submit").ended == ("success", 2),
        lambda: f"the cleared task is over: {airflow.outcome(run)}",
    )
    xcom = airflow.outcome(run).task("submit").xcom
    before = [] if CLEAR_DROPS_TASK_STATE and not keep_task_state else ["airflow:submit/-1#1"]
    assert ([record["reference"] for record in xcom["before"]], xcom["after"]) == (before, len(before) + 1)
    wait_until_none_is_left("records_cleared")
