"""``run_dag`` of the pytest plugin: what it runs, and what it says of the run."""

import os
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.testing.dag_runs import TaskOutcome, run_dag
from tests.helpers.dag_runs import new_dag

DAG_FILE = """
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, task

with DAG("of_the_folder", schedule=None, start_date=datetime(2026, 1, 1)):

    @task
    def answer():
        return 42

    answer()
"""


@pytest.fixture
def dags_folder():
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    yield folder
    for file in folder.glob("*.py"):
        file.unlink()


def test_run_dag_returns_the_state_of_the_run_and_of_each_task():
    with new_dag("mixed") as dag:

        @task
        def numbers():
            return [1, 2]

        @task
        def double(number):
            return 2 * number

        @task
        def fail(number):
            raise ValueError(number)

        fail(double.expand(number=numbers()))
    outcome = run_dag(dag)
    assert outcome.state == "failed"
    assert outcome.task("numbers") == TaskOutcome("success", 1, [1, 2])
    assert outcome.tasks["double"] == [TaskOutcome("success", 1, 2), TaskOutcome("success", 1, 4)]
    assert outcome.task("fail") == TaskOutcome("failed", 1, None)


def test_outcome_asks_which_instance_is_meant_where_there_is_not_exactly_one():
    with new_dag("several") as dag:

        @task
        def double(number):
            return 2 * number

        double.expand(number=[1, 2])
    outcome = run_dag(dag)
    with pytest.raises(LookupError, match="'double' has 2 instances"):
        outcome.task("double")
    with pytest.raises(LookupError, match=r"'other' has 0 instances.* double \(2\)"):
        outcome.task("other")


def test_run_dag_passes_conf_to_the_run():
    with new_dag("configured") as dag:

        @task
        def which(dag_run=None):
            return dag_run.conf["which"]

        which()
    assert run_dag(dag, conf={"which": "this"}).task("which").xcom == "this"


def test_run_dag_finds_a_dag_of_the_folder_by_its_id(dags_folder):
    (dags_folder / "some_dag.py").write_text(DAG_FILE)
    assert run_dag("of_the_folder").task("answer").xcom == 42


def test_run_dag_says_which_dags_there_are_and_which_files_are_broken(dags_folder):
    (dags_folder / "some_dag.py").write_text(DAG_FILE)
    (dags_folder / "broken_dag.py").write_text("import a_dag_module_that_is_missing  # airflow")
    with pytest.raises(LookupError) as missing:
        run_dag("mine")
    said = str(missing.value)
    assert f"No DAG 'mine' in {dags_folder}; it has: of_the_folder" in said
    assert "broken_dag.py cannot be imported" in said
    assert "No module named 'a_dag_module_that_is_missing'" in said
