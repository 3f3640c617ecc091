"""One Airflow and one simulator for all tests here."""

import json
import math
import os
import secrets
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_pixverse.simulator import Simulator
from tools.real_airflow import Airflow, PostgreSQL, installed_programs

HERE = Path(__file__).parent
# A wait that comes to a gate may pass on what the gate saw in the last 5 s; the margin is for the call.
FRESH = 5 + 2
EXAMPLES = HERE.parent.parent / "example_dags"


@pytest.fixture(scope="session")
def secret():
    """The part of the API token that no file may contain, however the token is written there."""
    return secrets.token_hex(16)


@pytest.fixture(scope="session")
def shared_simulator(secret):
    """The service that the connection ``pixverse_default`` leads to."""
    with Simulator(token=f"user:1-{secret}") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def crowded(secret):
    """Services by the DAG that waits for their slots, each full: 200 jobs execute."""
    with ExitStack() as running:
        simulators = {
            name: running.enter_context(
                Simulator({"a-1@example.com": 100, "a-2@example.com": 100}, token=f"user:1-{secret}")
            )
            for name in ("crowd", "interrupted_crowd", "deferred_crowd")
        }
        for simulator in simulators.values():
            simulator.fill()
        yield simulators


@pytest.fixture(scope="session")
def apart(secret):
    """A service that no other test waits for, so that no lease of another test takes up its slots."""
    with Simulator(token=f"user:1-{secret}") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def few_slots(secret):
    """A service with two slots, for which the tests of slots wait."""
    with Simulator({"few@example.com": 2}, token=f"user:1-{secret}") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def connections(shared_simulator, crowded, apart, few_slots, secret):
    """The connections in the database of this Airflow, by id."""
    with Simulator(token=f"user:1-{secret}") as full:
        full.fill()
        yield {
            "pixverse_default": shared_simulator.connection,
            "pixverse_full": full.connection,
            "pixverse_apart": apart.connection,
            "pixverse_few_slots": few_slots.connection,
            "pixverse_bad_token": {**shared_simulator.connection, "password": f"user:2-{secret}"},
            **{f"pixverse_{name}": simulator.connection for name, simulator in crowded.items()},
        }


@pytest.fixture(scope="session")
def table_folder(tmp_path_factory):
    """The folder of the example with a table of prompts."""
    return tmp_path_factory.mktemp("table")


@pytest.fixture(scope="session")
def airflow(connections, table_folder, tmp_path_factory):
    """A real Airflow with the example DAGs and those in ``dags/``."""
    home = tmp_path_factory.mktemp("airflow")
    env = {"AIRFLOW_VAR_PIXVERSE_FOLDER": f"file://{table_folder}"}
    with Airflow(home, [EXAMPLES, HERE / "dags"], env, connections=connections) as airflow:
        yield airflow


@pytest.fixture(scope="session")
def with_buckets(airflow, object_store):
    """The Airflow, with a connection to the object store."""
    airflow.command(
        "connections", "add", object_store.conn_id, "--conn-json", json.dumps(object_store.connection)
    )
    return airflow


@pytest.fixture(scope="module")
def postgresql():
    """An empty PostgreSQL for one Airflow."""
    if installed_programs() is None:
        message = "PostgreSQL is not installed; `make postgresql` does so, as root on Debian"
        # A test that CI skips is one that nobody misses.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    with PostgreSQL() as server:
        yield server


@pytest.fixture
def sim(shared_simulator):
    """The simulator with nothing executing and nothing injected; its log of requests goes on."""
    shared_simulator.end_all_jobs()
    shared_simulator.clear_faults()
    return shared_simulator


@pytest.fixture
def forget(airflow, sim):
    """A function that returns once no gate decides any more on what the service showed before the call."""

    def wait():
        called = time.monotonic()

        def is_forgotten():
            last = max((request.monotonic for request in sim.requests), default=-math.inf)
            return last > called or time.monotonic() - last > FRESH

        airflow.wait_until(is_forgotten, lambda: "what the gate saw is old or has been seen anew")

    return wait


@pytest.fixture(autouse=True)
def _the_token_is_in_no_file(airflow, secret):
    """Neither in a log nor in the database, whatever a test does."""
    yield
    assert airflow.files_containing(secret) == []
