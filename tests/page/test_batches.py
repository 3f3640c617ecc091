"""The running batches: their progress, their connection, and the users who may see them."""

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.providers.common.compat.sdk import task
from airflow.utils.session import create_session
from sqlalchemy import update

from airflow_pixverse.operators.pixverse import PixverseBatchOperator
from tests.helpers.dag_runs import new_dag, run
from tests.page.airflow_data import ago, run_batch
from tests.page.auth_manager import AuthManager
from tests.page.conftest import CAPACITY

pytestmark = pytest.mark.usefixtures("always_new")
PROGRESS = {
    "counts": {"waiting": 40, "running": 3, "stored": 12, "failed": 1},
    "rate": 4.5,
    "seconds_left": 573,
    "cost_credits": 540,
    "pixverse_conn_id": "pixverse_default",
    "at": 1_000_000.5,
}
DEFAULT = {"pixverse_conn_id": "pixverse_default"}


@pytest.fixture
def batches(page, sim):
    """A function that returns the batches of a response."""
    return lambda **params: page.capacity(**params)["batches"]


def dags(batches):
    return [batch["dag_id"] for batch in batches["shown"]]


@pytest.mark.parametrize("as_text", [False, True])
def test_running_batch_is_shown_with_its_progress(batches, as_text):
    started = ago(60)
    run_batch("nightly", PROGRESS, started=started, as_text=as_text)
    shown = {"dag_id": "nightly", "run_id": "a_run", "task_id": "campaign", "map_index": -1}
    shown |= {"since": started.timestamp(), **PROGRESS}
    del shown["pixverse_conn_id"]
    assert batches() == {"total": 1, "hidden": 0, "shown": [shown]}


@pytest.mark.pixverse_simulator(job_seconds=(0.1, 0.2))
def test_batch_operator_and_function_are_shown_with_what_airflow_stores_of_them(batches, tmp_path):
    table = {"rows": [{"prompt": "a fox"}, {"prompt": "an owl"}], "poke_interval": 0.2}
    with new_dag("batches") as dag:
        payload = {"prompt": "{prompt}"}
        PixverseBatchOperator(task_id="first", payload=payload, folder=(tmp_path / "1").as_uri(), **table)

        @task.pixverse_batch(folder=(tmp_path / "2").as_uri(), **table)
        def second(row):
            return row

        second()
    run(dag)
    assert batches() == {"total": 0, "hidden": 0, "shown": []}
    started = ago(60)
    with create_session() as session:
        session.execute(update(TaskInstance).values(state="running", start_date=started))
    shown = batches()["shown"]
    assert [batch["task_id"] for batch in shown] == ["first", "second"]
    for batch in shown:
        assert (batch["counts"]["waiting"], batch["counts"]["stored"]) == (2, 0)
        assert (batch["rate"], batch["seconds_left"], batch["cost_credits"]) == (0, None, 0)
        assert batch["at"] > started.timestamp()


@pytest.mark.parametrize(
    "progress",
    [
        None,
        "s3://bucket/of-a-custom-backend",
        ["a", "list"],
        {"counts": "many", "rate": "slow", "seconds_left": True, "cost_credits": -1, "at": 1e300},
        {"counts": {"waiting": None}},
        {"counts": {}},
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_batch_without_usable_progress_is_shown_without_counts(batches, progress, as_text):
    run_batch("a", progress, rendered=DEFAULT, as_text=as_text)
    [batch] = batches()["shown"]
    assert batch["since"] is not None
    assert {batch[key] for key in ("at", "counts", "rate", "seconds_left", "cost_credits")} == {None}


def test_batch_is_shown_at_its_own_connection_only(batches, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "pixverse://:token@localhost:1")
    run_batch("here", PROGRESS)
    run_batch("there", PROGRESS | {"pixverse_conn_id": "other"})
    run_batch("there_too", rendered={"pixverse_conn_id": "other"})
    run_batch("not_begun")
    assert dags(batches(conn_id="pixverse_default")) == ["here"]
    assert dags(batches(conn_id="other")) == ["there", "there_too"]


def test_batch_of_a_dag_that_the_user_may_not_read_is_only_counted(page, sim):
    run_batch("secret", PROGRESS)
    run_batch("open", PROGRESS)
    AuthManager.hidden_dags = {"secret"}
    response = page.client().get(CAPACITY)
    assert "secret" not in response.text
    found = response.json()["batches"]
    assert (found["total"], found["hidden"], dags(found)) == (2, 1, ["open"])


def test_oldest_batches_are_shown_up_to_the_limit(batches):
    run_batch("late", PROGRESS, started=ago(10))
    run_batch("early", PROGRESS, started=ago(90))
    run_batch("later", PROGRESS, started=ago(5))
    found = batches(limit=2)
    assert (found["total"], dags(found)) == (3, ["early", "late"])


def test_batch_that_does_not_run_is_not_shown(batches):
    for state in ("queued", "success", "failed", "up_for_retry"):
        run_batch(state, PROGRESS, state=state)
    assert batches()["total"] == 0
