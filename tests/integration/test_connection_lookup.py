"""Connections inside Airflow: from its database, or from a secrets backend that has bad moments."""

import logging

import pytest

from airflow_pixverse.hooks import lookup
from airflow_pixverse.operators.pixverse import PixverseListExecutingOperator
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from tests.helpers.dag_runs import AIRFLOW, new_dag, run
from tests.unit.hooks import backends


@pytest.fixture
def stored(sim):
    """The id of a connection to the simulator that is in Airflow's database only."""
    from airflow.models import Connection
    from airflow.utils.session import create_session

    # The one that is stored, and not that of the SDK.
    conn = Connection(conn_id="stored", conn_type="pixverse", host=sim.url, password=sim.token)  # noqa: AIR311
    with create_session() as session:
        session.add(conn)
    yield "stored"
    with create_session() as session:
        session.query(Connection).filter_by(conn_id="stored").delete()  # noqa: AIR311


@pytest.fixture
def backend(sim, monkeypatch):
    """A secrets backend with the connection ``flaky``, which leads to the simulator."""
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", backends.NAME)
    monkeypatch.setattr(backends.FlakyBackend, "connection", sim.connection)
    monkeypatch.setattr(backends.FlakyBackend, "troubles", [])
    monkeypatch.setattr(backends.FlakyBackend, "looks", [])
    monkeypatch.setattr(backends.FlakyBackend, "is_down", False)
    monkeypatch.setattr(lookup, "SECOND_LOOK_AFTER", 0)
    return backends.FlakyBackend


@pytest.fixture
def down_until_looked_for_again(backend, monkeypatch):
    """The backend is down, until a worker says that it will look once more."""
    monkeypatch.setattr(backend, "is_down", True)

    class Recovery(logging.Handler):
        def emit(self, record):
            if "looking once more" in record.getMessage():
                backend.is_down = False

    logger, recovery = logging.getLogger(lookup.__name__), Recovery()
    logger.addHandler(recovery)
    yield backend
    logger.removeHandler(recovery)


def waited(**kwargs):
    with new_dag("connection_lookup") as dag:
        PixverseCapacitySensor(task_id="wait", poke_interval=0.1, timeout=30, **kwargs)
    return run(dag)


@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
def test_a_connection_in_the_database_is_found_by_dag_test(sim, stored, mode):
    how = {"deferrable": True} if mode == "deferrable" else {"mode": mode}
    outcome = waited(pixverse_conn_id=stored, **how)
    assert outcome.state("wait") == "success"
    assert [account["available"] for account in outcome.xcom("wait")] == [3, 3]
    assert sim.request_count == 1


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_sensor_gets_over_a_bad_moment_of_the_secrets_backend(down_until_looked_for_again, mode):
    assert waited(pixverse_conn_id="flaky", mode=mode).state("wait") == "success"


def test_the_list_operator_gets_over_a_bad_moment_of_the_secrets_backend(down_until_looked_for_again):
    with new_dag("connection_lookup") as dag:
        PixverseListExecutingOperator(task_id="list", pixverse_conn_id="flaky")
    assert run(dag).state("list") == "success"


def test_a_connection_that_is_not_found_twice_fails_the_task(backend, monkeypatch):
    monkeypatch.setattr(backend, "is_down", True)
    assert waited(pixverse_conn_id="flaky").state("wait") == "failed"


@pytest.mark.skipif(AIRFLOW.release < (3, 0), reason="Airflow 2 has no supervisor")
def test_only_the_supervisor_of_dag_test_is_asked_in_a_thread():
    from airflow.jobs.triggerer_job_runner import TriggerCommsDecoder
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    assert not lookup._can_only_be_asked_synchronously(None)
    assert not lookup._can_only_be_asked_synchronously(TriggerCommsDecoder)
    # Should a later Airflow teach it the asynchronous look-up, nothing is asked in a thread any more.
    assert lookup._can_only_be_asked_synchronously(InProcessSupervisorComms) != hasattr(
        InProcessSupervisorComms, "asend"
    )
