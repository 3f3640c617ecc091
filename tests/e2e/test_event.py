"""Event-driven scheduling: an asset watcher in the triggerer, which runs a DAG when room appears."""

import pytest
from airflow import __version__

from tools.real_airflow import PATIENCE, DagRun

needs_airflow_3 = pytest.mark.skipif(__version__.startswith("2."), reason="Airflow 2 has no asset watchers")


@needs_airflow_3
def test_the_dag_runs_once_each_time_that_room_appears(airflow, sim):
    def runs():
        return airflow.metadata.runs("pixverse_on_capacity")

    def look_twice():
        sim.wait_for_requests(sim.request_count + 2, timeout=PATIENCE)

    sim.fill()
    look_twice()
    before = runs()
    sim.end_all_jobs()
    airflow.wait_until(lambda: len(runs()) > len(before), lambda: "no DAG run came of the room")
    look_twice()
    [run_id] = set(runs()) - set(before)

    outcome = airflow.wait_for(DagRun("pixverse_on_capacity", run_id))
    assert outcome.task("use_room").state == "success"
    assert [account["available"] for account in outcome.task("use_room").xcom] == [3, 3]
