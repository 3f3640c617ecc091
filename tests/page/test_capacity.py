"""The accounts and jobs on the page, and the problems with them."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from airflow_pixverse.api.reply_ref import join
from airflow_pixverse.page import capacity
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission.request import TaskName, task_prefix
from tests.page.airflow_data import write_dag
from tests.page.auth_manager import AuthManager
from tests.page.conftest import CAPACITY

pytestmark = pytest.mark.usefixtures("always_new")
ACCOUNTS = {"a@example.com": 2, "b@example.com": 3}


def reply_ref(*task):
    return join(task_prefix(TaskName(*task)), "random")


OURS = reply_ref("make", "a run/1#2", "group.submit", 3)
TOO_LONG = reply_ref("d" * 250, "+" * 250, "t" * 250, -1)


def problem_of(answer):
    return answer["problem"] and answer["problem"]["kind"]


@pytest.fixture
def task_and_mine(page):
    """A function that returns these two fields of the only executing job."""

    def task_and_mine():
        [job] = page.capacity()["capacity"]["executing"]
        return job["task"], job["mine"]

    return task_and_mine


@pytest.mark.pixverse_simulator(accounts=ACCOUNTS)
def test_the_numbers_follow_the_service(page, sim):
    sim.set_pending_error("b@example.com", "Log in again")
    before = page.capacity()
    assert before["problem"] is None
    assert before["taken_at"] <= before["now"]
    assert (before["capacity"]["free"], before["capacity"]["total"]) == (5, 5)
    sim.start_job("a@example.com")
    after = page.capacity()["capacity"]
    assert (after["free"], after["total"], after["executing_total"]) == (4, 5, 1)
    assert after["accounts"] == [
        {"email": "a@example.com", "total": 2, "executing": 1, "free": 1, "error": None},
        {"email": "b@example.com", "total": 3, "executing": 0, "free": 3, "error": "Log in again"},
    ]


@pytest.mark.pixverse_simulator(accounts=ACCOUNTS)
def test_jobs_are_listed_oldest_first_up_to_the_limit(page, sim):
    now = datetime.now(UTC)
    for minutes in (1, 3, 2):
        sim.start_job("b@example.com", type=f"type{minutes}", started=now - timedelta(minutes=minutes))
    capacity = page.capacity(limit=2)["capacity"]
    assert capacity["executing_total"] == 3
    [oldest, second] = capacity["executing"]
    assert (oldest["type"], second["type"]) == ("type3", "type2")
    assert oldest["started"] == pytest.approx((now - timedelta(minutes=3)).timestamp(), abs=1)
    assert oldest["age_seconds"] == pytest.approx(180, abs=60)
    assert oldest["email"] == "b@example.com"


def test_a_job_names_the_task_that_submitted_it(task_and_mine, sim):
    write_dag("make")
    sim.start_job(reply_ref=OURS)
    task = {"dag_id": "make", "run_id": "a run/1#2", "task_id": "group.submit", "map_index": 3}
    assert task_and_mine() == (task, True)


def test_a_task_of_a_dag_that_the_user_may_not_read_is_not_named(page, task_and_mine, sim):
    write_dag("make")
    AuthManager.hidden_dags = {"make"}
    sim.start_job(reply_ref=OURS)
    assert task_and_mine() == (None, True)
    assert "make" not in json.dumps(page.capacity())


@pytest.mark.parametrize(
    ("ref", "mine"),
    [
        (OURS, True),  # of another Airflow
        (TOO_LONG, True),
        *((ref, False) for ref in (None, "", "my own", "airflow:", "airflow:a/b/c#x", "airflow:a/b/c/d#x")),
    ],
)
def test_a_job_that_no_known_task_has_submitted_names_none(task_and_mine, sim, ref, mine):
    sim.start_job(reply_ref=ref)
    assert task_and_mine() == (None, mine)


@pytest.mark.pixverse_simulator(token="user:4711-secret-token")
def test_nothing_leaves_the_server_that_concerns_only_the_owner_of_the_token(page, sim):
    [account, *_] = page.capacity()["capacity"]["accounts"]
    sim.start_job(reply_url="https://hooks.example.com/secret?key=1", reply_ref="https://refs.example.com")
    sim.start_job(type="user:4711 https://types.example.com/")
    error = "see https://errors.example.com/4711, user:4711-secret-token"
    sim.respond_with("accounts", {account["email"]: {"error": error}})
    page.forget()
    text = page.client().get(CAPACITY).text
    assert "(address)" in text
    for secret in ("4711", "secret", "://", "hooks", "refs.", sim.url.removeprefix("http://")):
        assert secret not in text


@pytest.mark.parametrize("rest", ["", "-pixverse:", "-pixverse:a@example.com-video", "-y"])
def test_job_ids_of_another_form_name_no_user_either(page, sim, rest):
    executing = [{"id": f"user:4711{rest}"}, {"id": f"x user:4711{rest}"}]
    sim.respond_with("scheduler/available", {"executing": executing, "available": []})
    assert "4711" not in page.client().get(CAPACITY).text


def test_an_account_that_only_the_list_of_accounts_has_is_shown_with_its_error(page, sim):
    sim.respond_with("scheduler/available", {"executing": [], "available": []})
    sim.respond_with("accounts", {"lost@example.com": {"error": "Log in again"}})
    assert page.capacity()["capacity"]["accounts"] == [
        {"email": "lost@example.com", "total": 0, "executing": 0, "free": 0, "error": "Log in again"}
    ]


def test_an_unreadable_list_of_accounts_is_no_problem(page, sim):
    sim.inject(faults.status(500), None, "accounts")
    answer = page.capacity()
    assert answer["problem"] is None
    assert answer["capacity"]["free"] == 6


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.echo_token(401), "token"),
        (faults.status(403), "token"),
        (faults.status(402), "refused"),
        (faults.status(404), "refused"),
        (faults.rate_limit(), "busy"),
        (faults.status(503), "service"),
        (faults.html(), "service"),
        (faults.broken_json(), "network"),
        (faults.reset(), "network"),
    ],
)
def test_the_last_snapshot_stays_until_the_problem_ends(page, sim, fault, kind):
    before = page.capacity()
    sim.inject(fault, None)
    began = page.capacity()
    assert problem_of(began) == kind
    assert (began["capacity"], began["taken_at"]) == (before["capacity"], before["taken_at"])
    later = page.capacity()
    assert later["problem"]["since"] == began["problem"]["since"]
    sim.clear_faults()
    after = page.capacity()
    assert after["problem"] is None
    assert after["taken_at"] > before["taken_at"]


@pytest.mark.parametrize("fault", [faults.echo_token(401), faults.status(503), faults.reset()])
def test_a_problem_names_no_address_and_no_token_and_is_logged_once(page, sim, fault, caplog):
    sim.inject(fault, None)
    for _ in range(3):
        text = page.client().get(CAPACITY).text
    assert sim.token not in text
    assert "127.0.0.1" not in text
    assert "127.0.0.1" in caplog.text
    assert caplog.text.count("has no new snapshot") == 1


def test_a_service_that_comes_back_ends_the_problem(page, sim):
    assert page.capacity()["problem"] is None
    sim.stop()
    down = page.capacity()
    assert problem_of(down) == "network"
    assert down["capacity"]["free"] == 6
    sim.start()
    assert page.capacity()["problem"] is None


def test_a_new_token_in_the_connection_ends_the_problem(page, sim, monkeypatch):
    sim.token = "user:1-another"
    answer = page.capacity()
    assert problem_of(answer) == "token"
    assert (answer["capacity"], answer["taken_at"]) == (None, None)
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))
    assert page.capacity()["problem"] is None


def test_retry_after_delays_the_next_poll(page, sim):
    sim.inject(faults.rate_limit(retry_after=120))
    answer = page.capacity()
    assert answer["problem"]["retry_at"] == pytest.approx(time.time() + 120, abs=60)
    requests = sim.request_count
    assert problem_of(page.capacity()) == "busy"
    assert sim.request_count == requests


def test_a_connection_that_cannot_be_used_is_a_problem(page, sim, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection | {"password": ""}))
    assert problem_of(page.capacity()) == "connection"
    assert sim.request_count == 0


def test_a_bug_is_a_problem_too_and_is_logged(page, sim, monkeypatch, caplog):
    monkeypatch.setattr(capacity, "PixverseHook", None)
    assert problem_of(page.capacity()) == "page"
    assert "TypeError" in caplog.text
