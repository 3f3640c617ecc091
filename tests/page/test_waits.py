"""The waiting tasks: their order, their parameters, and the users who may see them."""

from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from sqlalchemy import update

from airflow_pixverse.page import waiting
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from airflow_pixverse.waits.deadlines import SAFETY_NET, Deadlines
from tests.helpers.dag_runs import new_dag, run
from tests.page.airflow_data import ago, defer, poll, start_triggerer
from tests.page.auth_manager import AuthManager
from tests.page.conftest import CAPACITY

pytestmark = pytest.mark.usefixtures("always_new")
EARLY, LATE = 1_000_000.0, 2_000_000.0


@pytest.fixture
def waits(page, sim):
    """A function that returns the waits of a response."""
    return lambda **params: page.capacity(**params)["waits"]


def names(waits):
    return [(wait["place"], wait["dag_id"], wait["map_index"]) for wait in waits["shown"]]


def test_the_trigger_is_found_by_its_class():
    assert PixverseCapacityTrigger().serialize()[0] == waiting._CLASSPATH


def test_the_longest_wait_is_first_and_of_those_that_began_together_the_oldest_trigger(waits):
    defer("late", [{"waiting_since": LATE}])
    defer("early", [{"waiting_since": EARLY}, {"waiting_since": LATE}])
    found = waits()
    assert names(found) == [(1, "early", 0), (2, "late", 0), (3, "early", 1)]
    assert (found["total"], found["hidden"], found["found"], found["longest_since"]) == (3, 0, 3, EARLY)


def test_order_is_that_of_the_gate_by_priority_and_by_dag_in_turn(waits):
    defer("many", [{"waiting_since": EARLY + number} for number in range(3)])
    defer("single", [{"waiting_since": EARLY + 60}])
    defer("urgent", [{"waiting_since": EARLY + 120, "priority_weight": 5}])
    found = waits()
    assert [name[1:] for name in names(found)] == [
        *(("urgent", 0), ("many", 0), ("single", 0), ("many", 1), ("many", 2))
    ]
    assert [wait["priority"] for wait in found["shown"]] == [5, 1, 1, 1, 1]


def test_a_wait_is_shown_with_its_parameters(waits):
    parameters = {"waiting_since": EARLY, "slots": 2, "emails": ["a-1@example.com"], "timeout": 60.0}
    defer("the_dag", [parameters], run_id="the_run")
    assert waits()["shown"] == [
        {
            "place": 1,
            "dag_id": "the_dag",
            "run_id": "the_run",
            "task_id": "wait",
            "map_index": 0,
            "priority": 1,
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
def test_the_first_deadline_ends_a_wait(waits, limits, ends):
    defer("a", [{"waiting_since": EARLY, **limits}])
    [wait] = waits()["shown"]
    assert wait["times_out_at"] == ends


def test_a_wait_that_began_in_the_trigger_has_the_same_place_there(waits):
    began = datetime(2026, 1, 2, tzinfo=UTC)
    ends = began + timedelta(seconds=Deadlines(0.0, timeout=600.0).deferral_seconds(0.0))
    defer("began_there", [{"timeout": 600.0}], deferral_ends=ends)
    defer("before", [{"waiting_since": began.timestamp() - 1}])
    defer("after", [{"waiting_since": began.timestamp() + 1}])
    shown = waits()["shown"]
    assert [wait["dag_id"] for wait in shown] == ["before", "began_there", "after"]
    assert (shown[1]["since"], shown[1]["times_out_at"]) == (began.timestamp(), ends.timestamp() - SAFETY_NET)


def test_each_connection_has_its_own_queue(waits, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "pixverse://:token@localhost:1")
    defer("here", [{"waiting_since": LATE, "pixverse_conn_id": "pixverse_default"}])
    defer("there", [{"waiting_since": EARLY, "pixverse_conn_id": "other"}])
    assert names(waits(conn_id="pixverse_default")) == [(1, "here", 0)]
    assert names(waits(conn_id="other")) == [(1, "there", 0)]


def test_waits_of_dags_that_the_user_may_not_read_are_counted_and_keep_their_places(page, sim):
    defer("secret", [{"waiting_since": EARLY, "slots": 99}])
    defer("open", [{"waiting_since": LATE}])
    AuthManager.hidden_dags = {"secret"}
    response = page.client().get(CAPACITY)
    assert "secret" not in response.text
    found = response.json()["waits"]
    assert names(found) == [(2, "open", 0)]
    assert (found["total"], found["hidden"], found["found"], found["longest_since"]) == (2, 1, 1, EARLY)
    assert found["too_large"] == []
    assert page.capacity(find="secret")["waits"]["found"] == 0


@pytest.mark.parametrize("find", ["NIGHTLY", "wait", " the_run ", "tly"])
def test_waits_are_found_by_dag_task_or_run_and_keep_their_places(waits, find):
    defer("other", [{"waiting_since": EARLY}], run_id="another")
    defer("nightly", [{"waiting_since": LATE}], run_id="The_Run")
    found = waits(find=find)
    assert (2, "nightly", 0) in names(found)
    assert (found["found"], found["total"]) == (len(found["shown"]), 2)


def test_no_more_than_the_limit_are_shown(waits):
    defer("a", [{"waiting_since": EARLY + number} for number in range(3)])
    found = waits(limit=2)
    assert (names(found), found["found"], found["total"]) == ([(1, "a", 0), (2, "a", 1)], 3, 3)


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 2, "b@example.com": 3})
def test_waits_for_more_slots_than_there_are_are_named(waits, sim):
    some = {"emails": ["A@example.com"]}
    requests = [{"slots": 5}, {"slots": 6}, {"slots": 2, **some}, {"slots": 3, **some}]
    defer("a", [{"waiting_since": EARLY, **request} for request in requests])
    sim.fill()
    assert [wait["map_index"] for wait in waits()["too_large"]] == [1, 3]


@pytest.mark.parametrize(
    ("parameter", "shown"),
    [
        ({"slots": "{{ params.slots }}"}, {"slots": None}),
        ({"emails": "{{ params.accounts }}"}, {"slots": 1, "emails": None}),
        ({"colour": "red"}, {"slots": 1}),
    ],
    ids=["template of slots", "template of accounts", "of another version"],
)
def test_a_parameter_that_cannot_be_used_yet_is_left_out(waits, parameter, shown):
    defer("a", [{"waiting_since": EARLY, **parameter}])
    found = waits()
    [wait] = found["shown"]
    assert (wait | shown, found["too_large"]) == (wait, [])


def test_a_wait_that_cannot_be_read_is_left_out_and_logged(waits, caplog):
    defer("unreadable", [{"waiting_since": EARLY}])
    with create_session() as session:
        session.execute(update(Trigger).values(encrypted_kwargs="of another key"))
    defer("readable", [{"waiting_since": LATE}])
    assert names(waits()) == [(1, "readable", 0)]
    assert "a wait that it cannot read" in caplog.text


def test_a_trigger_with_the_id_of_an_earlier_one_is_read_again(waits):
    defer("a", [{"waiting_since": EARLY, "slots": 1}])
    assert waits()["shown"][0]["slots"] == 1
    with create_session() as session:
        encrypted = Trigger.encrypt_kwargs({"waiting_since": EARLY, "slots": 2})
        session.execute(update(Trigger).values(encrypted_kwargs=encrypted))
    assert waits()["shown"][0]["slots"] == 2


def test_sensors_that_poll_for_themselves_come_last_and_have_no_place(waits):
    poll("pokes", "running", started=ago(60), rendered={"slots": 2, "emails": ["a-1@example.com"]})
    poll("reschedules", "up_for_reschedule", started=ago(30), first_poll=ago(600))
    poll("polls_again", "running", started=ago(1), first_poll=ago(300))
    defer("deferred", [{"waiting_since": ago(10).timestamp()}])
    found = waits()
    assert [(wait["place"], wait["dag_id"], wait["mode"]) for wait in found["shown"]] == [
        (1, "deferred", "deferred"),
        (None, "reschedules", "reschedule"),
        (None, "polls_again", "reschedule"),
        (None, "pokes", "poke"),
    ]
    assert found["total"] == 4
    assert found["longest_since"] == pytest.approx(ago(600).timestamp(), abs=60)
    assert (found["shown"][-1]["slots"], found["shown"][-1]["emails"]) == (2, ["a-1@example.com"])


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 3})
def test_the_fields_that_airflow_stores_of_such_a_sensor_are_read(waits):
    with new_dag("polls") as dag:
        PixverseCapacitySensor(task_id="first", slots=2, emails=["a@example.com"], deferrable=False)
        PixverseCapacitySensor(task_id="second", deferrable=False)
    run(dag)
    with create_session() as session:
        session.execute(update(TaskInstance).values(state="running", start_date=ago(60)))
    shown = waits()["shown"]
    assert {wait["task_id"]: (wait["slots"], wait["emails"], wait["mode"]) for wait in shown} == {
        "first": (2, ["a@example.com"], "poke"),
        "second": (1, None, "poke"),
    }


def test_a_sensor_that_defers_or_resumes_or_has_ended_does_not_poll(waits):
    poll("about_to_defer", "running", started=ago(1))
    poll("resumes", "running", started=ago(60), next_method="execute_complete")
    poll("has_ended", "success", started=ago(60), first_poll=ago(90))
    assert waits()["total"] == 0


def test_triggerers_with_a_recent_heartbeat_are_counted(page, sim):
    assert page.capacity()["triggerers"] == 0
    start_triggerer(heartbeat=ago(0))
    start_triggerer(heartbeat=ago(3600))
    assert page.capacity()["triggerers"] == 1


def test_triggers_of_all_kinds_share_the_places_of_the_triggerers_that_are_alive(page, sim):
    before = page.capacity()
    defer("waiting", [{"waiting_since": EARLY}, {"waiting_since": LATE}])
    for heartbeat in (ago(0), ago(1), ago(3600)):
        start_triggerer(heartbeat=heartbeat)
    capacity = page.capacity()
    assert capacity["triggers"] == before["triggers"] + 2
    assert (before["places"], capacity["places"]) == (0, 2 * 1000)
