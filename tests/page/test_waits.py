"""Who waits, in which order, and who may see it."""

from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from sqlalchemy import update

from airflow_pixverse.deadlines import SAFETY_NET, Deadlines
from airflow_pixverse.page import waiting
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from tests.integration.dag_runs import new_dag, run
from tests.page.airflow_data import ago, defer, look, start_triggerer
from tests.page.auth_manager import AuthManager

pytestmark = pytest.mark.usefixtures("always_new")
EARLY, LATE = 1_000_000.0, 2_000_000.0


def names(waits):
    return [(wait["place"], wait["dag_id"], wait["map_index"]) for wait in waits["shown"]]


def test_the_trigger_is_found_by_its_class():
    assert PixverseCapacityTrigger().serialize()[0] == waiting._CLASSPATH


def test_whoever_has_waited_longest_is_first(page, sim):
    defer("late", [{"waiting_since": LATE}])
    defer("early", [{"waiting_since": EARLY}, {"waiting_since": LATE + 1}])
    waits = page.capacity()["waits"]
    assert names(waits) == [(1, "early", 0), (2, "late", 0), (3, "early", 1)]
    assert (waits["total"], waits["hidden"], waits["found"], waits["longest_since"]) == (3, 0, 3, EARLY)


def test_of_those_that_began_together_the_trigger_made_first_is_first(page, sim):
    defer("b", [{"waiting_since": EARLY}])
    defer("a", [{"waiting_since": EARLY}])
    assert names(page.capacity()["waits"]) == [(1, "b", 0), (2, "a", 0)]


def test_a_wait_is_told_with_all_that_it_asks_for(page, sim):
    defer(
        "the_dag",
        [{"waiting_since": EARLY, "slots": 2, "emails": ["a-1@example.com"], "timeout": 60.0}],
        run_id="the_run",
    )
    assert page.capacity()["waits"]["shown"] == [
        {
            "place": 1,
            "dag_id": "the_dag",
            "run_id": "the_run",
            "task_id": "wait",
            "map_index": 0,
            "slots": 2,
            "emails": ["a-1@example.com"],
            "since": EARLY,
            "times_out_at": EARLY + 60,
            "mode": "deferred",
        }
    ]


@pytest.mark.parametrize(
    ("limits", "ends"),
    [
        ({}, None),
        ({"timeout": 60.0, "execution_timeout": 30.0}, EARLY + 30),
        ({"timeout": 30.0, "execution_timeout": 60.0}, EARLY + 30),
    ],
)
def test_the_first_of_its_deadlines_ends_it(page, sim, limits, ends):
    defer("a", [{"waiting_since": EARLY, **limits}])
    [wait] = page.capacity()["waits"]["shown"]
    assert wait["times_out_at"] == ends


def test_a_wait_that_began_in_the_trigger_has_the_place_that_its_trigger_takes(page, sim):
    began = datetime(2026, 1, 2, tzinfo=UTC)
    ends = began + timedelta(seconds=Deadlines(0.0, timeout=600.0).deferral_seconds)
    defer("began_there", [{"timeout": 600.0}], deferral_ends=ends)
    defer("before", [{"waiting_since": began.timestamp() - 1}])
    defer("after", [{"waiting_since": began.timestamp() + 1}])
    waits = page.capacity()["waits"]
    assert [wait["dag_id"] for wait in waits["shown"]] == ["before", "began_there", "after"]
    assert waits["shown"][1]["since"] == began.timestamp()
    assert waits["shown"][1]["times_out_at"] == ends.timestamp() - SAFETY_NET


def test_each_connection_has_its_own_queue(page, sim, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "pixverse://:token@localhost:1")
    defer("here", [{"waiting_since": LATE, "pixverse_conn_id": "pixverse_default"}])
    defer("there", [{"waiting_since": EARLY, "pixverse_conn_id": "other"}])
    assert names(page.capacity(conn_id="pixverse_default")["waits"]) == [(1, "here", 0)]
    assert names(page.capacity(conn_id="other")["waits"]) == [(1, "there", 0)]


def test_waits_of_dags_that_the_user_may_not_read_are_counted_and_take_their_places(page, sim):
    defer("secret", [{"waiting_since": EARLY, "slots": 99}])
    defer("open", [{"waiting_since": LATE}])
    AuthManager.hidden_dags = {"secret"}
    answer = page.client().get("/pixverse/api/capacity")
    assert "secret" not in answer.text
    waits = answer.json()["waits"]
    assert names(waits) == [(2, "open", 0)]
    assert (waits["total"], waits["hidden"], waits["found"], waits["longest_since"]) == (2, 1, 1, EARLY)
    assert waits["too_large"] == []
    assert page.capacity(find="secret")["waits"]["found"] == 0


@pytest.mark.parametrize("find", ["NIGHTLY", "wait", " the_run ", "tly"])
def test_waits_are_found_by_dag_task_or_run_and_keep_their_places(page, sim, find):
    defer("other", [{"waiting_since": EARLY}], run_id="another")
    defer("nightly", [{"waiting_since": LATE}], run_id="The_Run")
    waits = page.capacity(find=find)["waits"]
    assert (2, "nightly", 0) in names(waits)
    assert waits["found"] == len(waits["shown"])
    assert waits["total"] == 2


def test_no_more_are_shown_than_asked_for(page, sim):
    defer("a", [{"waiting_since": EARLY + number} for number in range(3)])
    waits = page.capacity(limit=2)["waits"]
    assert names(waits) == [(1, "a", 0), (2, "a", 1)]
    assert (waits["found"], waits["total"]) == (3, 3)


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 2, "b@example.com": 3})
def test_those_that_ask_for_more_than_there_is_are_named(page, sim):
    emails = ["A@example.com"]
    defer(
        "a",
        [
            {"waiting_since": EARLY, "slots": 5},
            {"waiting_since": EARLY, "slots": 6},
            {"waiting_since": EARLY, "slots": 2, "emails": emails},
            {"waiting_since": EARLY, "slots": 3, "emails": emails},
        ],
    )
    sim.fill()
    assert [wait["map_index"] for wait in page.capacity()["waits"]["too_large"]] == [1, 3]


def test_what_only_the_triggerer_knows_is_not_guessed(page, sim):
    defer("a", [{"waiting_since": EARLY, "slots": "{{ params.slots }}"}])
    [wait] = page.capacity()["waits"]["shown"]
    assert wait["slots"] is None


def test_accounts_that_only_the_triggerer_knows_are_not_taken_for_too_few(page, sim):
    defer("from_trigger", [{"emails": "{{ params.accounts }}", "waiting_since": EARLY}])
    waits = page.capacity()["waits"]
    assert (waits["too_large"], waits["shown"][0]["emails"]) == ([], None)


def test_a_parameter_of_another_version_does_no_harm(page, sim):
    defer("a", [{"waiting_since": EARLY, "colour": "red"}])
    assert page.capacity()["waits"]["total"] == 1


def test_a_wait_that_cannot_be_read_is_left_out_and_logged(page, sim, caplog):
    defer("unreadable", [{"waiting_since": EARLY}])
    with create_session() as session:
        session.execute(update(Trigger).values(encrypted_kwargs="of another key"))
    defer("readable", [{"waiting_since": LATE}])
    assert names(page.capacity()["waits"]) == [(1, "readable", 0)]
    assert "a wait that it cannot read" in caplog.text


def test_a_trigger_that_took_over_the_id_of_another_is_read_anew(page, sim):
    defer("a", [{"waiting_since": EARLY, "slots": 1}])
    assert page.capacity()["waits"]["shown"][0]["slots"] == 1
    with create_session() as session:
        encrypted = Trigger.encrypt_kwargs({"waiting_since": EARLY, "slots": 2})
        session.execute(update(Trigger).values(encrypted_kwargs=encrypted))
    assert page.capacity()["waits"]["shown"][0]["slots"] == 2


def test_sensors_that_look_for_themselves_come_last_and_have_no_place(page, sim):
    look("pokes", "running", started=ago(60), rendered={"slots": 2, "emails": ["a-1@example.com"]})
    look("reschedules", "up_for_reschedule", started=ago(30), first_look=ago(600))
    look("looks_again", "running", started=ago(1), first_look=ago(300))
    defer("deferred", [{"waiting_since": ago(10).timestamp()}])
    waits = page.capacity()["waits"]
    assert [(wait["place"], wait["dag_id"], wait["mode"]) for wait in waits["shown"]] == [
        (1, "deferred", "deferred"),
        (None, "reschedules", "reschedule"),
        (None, "looks_again", "reschedule"),
        (None, "pokes", "poke"),
    ]
    assert waits["total"] == 4
    assert waits["longest_since"] == pytest.approx(ago(600).timestamp(), abs=60)
    assert (waits["shown"][-1]["slots"], waits["shown"][-1]["emails"]) == (2, ["a-1@example.com"])


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 3})
def test_what_airflow_stores_of_such_a_sensor_is_understood(page, sim):
    with new_dag("looks") as dag:
        PixverseCapacitySensor(task_id="first", slots=2, emails=["a@example.com"], deferrable=False)
        PixverseCapacitySensor(task_id="second", deferrable=False)
    run(dag)
    with create_session() as session:
        session.execute(update(TaskInstance).values(state="running", start_date=ago(60)))
    shown = page.capacity()["waits"]["shown"]
    assert {wait["task_id"]: (wait["slots"], wait["emails"], wait["mode"]) for wait in shown} == {
        "first": (2, ["a@example.com"], "poke"),
        "second": (1, None, "poke"),
    }


def test_a_sensor_on_its_way_into_or_out_of_a_deferral_does_not_look_for_itself(page, sim):
    look("about_to_defer", "running", started=ago(1))
    look("resumes", "running", started=ago(60), next_method="execute_complete")
    look("has_ended", "success", started=ago(60), first_look=ago(90))
    assert page.capacity()["waits"]["total"] == 0


def test_triggerers_count_while_their_hearts_beat(page, sim):
    assert page.capacity()["triggerers"] == 0
    start_triggerer(heartbeat=ago(0))
    start_triggerer(heartbeat=ago(3600))
    assert page.capacity()["triggerers"] == 1
