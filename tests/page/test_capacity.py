"""What the page says of accounts and jobs, and of trouble with them."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from airflow_pixverse.api.reply_ref import join
from airflow_pixverse.simulator import faults
from airflow_pixverse.submits.task_prefix import TaskName, task_prefix
from tests.page.airflow_data import write_dag
from tests.page.auth_manager import AuthManager

pytestmark = pytest.mark.usefixtures("always_new")
ACCOUNTS = {"a@example.com": 2, "b@example.com": 3}
OURS = TaskName("make", "a run/1#2", "group.submit", 3)


def reply_ref(task):
    return join(task_prefix(task), "random")


def trouble_of(answer):
    return answer["trouble"] and answer["trouble"]["kind"]


@pytest.mark.pixverse_simulator(accounts=ACCOUNTS)
def test_the_numbers_follow_the_service(page, sim):
    before = page.capacity()
    assert before["trouble"] is None
    assert before["taken_at"] <= before["now"]
    assert (before["capacity"]["free"], before["capacity"]["total"]) == (5, 5)
    sim.start_job("a@example.com")
    after = page.capacity()["capacity"]
    assert (after["free"], after["total"], after["executing_total"]) == (4, 5, 1)
    assert after["accounts"] == [
        {"email": "a@example.com", "total": 2, "executing": 1, "free": 1, "error": None},
        {"email": "b@example.com", "total": 3, "executing": 0, "free": 3, "error": None},
    ]


@pytest.mark.pixverse_simulator(accounts=ACCOUNTS)
def test_jobs_are_listed_oldest_first_up_to_the_limit(page, sim):
    now = datetime.now(UTC)
    for minutes in (1, 3, 2):
        sim.start_job("b@example.com", type=f"type{minutes}", started=now - timedelta(minutes=minutes))
    room = page.capacity(limit=2)["capacity"]
    assert room["executing_total"] == 3
    assert [job["type"] for job in room["executing"]] == ["type3", "type2"]
    [oldest, _] = room["executing"]
    assert oldest["started"] == pytest.approx((now - timedelta(minutes=3)).timestamp(), abs=1)
    assert oldest["age_seconds"] == pytest.approx(180, abs=60)
    assert oldest["email"] == "b@example.com"


def test_a_job_leads_to_the_task_that_submitted_it(page, sim):
    write_dag("make")
    sim.start_job(reply_ref=reply_ref(OURS))
    [job] = page.capacity()["capacity"]["executing"]
    assert job["task"] == {
        "dag_id": "make", "run_id": "a run/1#2", "task_id": "group.submit", "map_index": 3,
    }  # fmt: skip
    assert job["mine"]


def test_a_task_of_a_dag_that_the_user_may_not_read_has_no_names(page, sim):
    write_dag("make")
    AuthManager.hidden_dags = {"make"}
    sim.start_job(reply_ref=reply_ref(OURS))
    answer = page.capacity()
    [job] = answer["capacity"]["executing"]
    assert (job["task"], job["mine"]) == (None, True)
    assert "make" not in json.dumps(answer)


def test_a_task_of_another_airflow_has_no_names_either(page, sim):
    sim.start_job(reply_ref=reply_ref(OURS))
    [job] = page.capacity()["capacity"]["executing"]
    assert (job["task"], job["mine"]) == (None, True)


def test_a_task_whose_names_are_too_long_for_the_service_is_ours_all_the_same(page, sim):
    sim.start_job(reply_ref=reply_ref(TaskName("d" * 250, "+" * 250, "t" * 250, -1)))
    [job] = page.capacity()["capacity"]["executing"]
    assert (job["task"], job["mine"]) == (None, True)


@pytest.mark.parametrize("foreign", [None, "", "my own", "airflow:", "airflow:a/b/c#x", "airflow:a/b/c/d#x"])
def test_other_jobs_are_somebody_elses(page, sim, foreign):
    sim.start_job(reply_ref=foreign)
    [job] = page.capacity()["capacity"]["executing"]
    assert (job["task"], job["mine"]) == (None, False)


@pytest.mark.pixverse_simulator(token="user:4711-secret-token")
def test_nothing_leaves_the_server_that_concerns_only_the_owner_of_the_token(page, sim):
    [account, *_] = page.capacity()["capacity"]["accounts"]
    sim.start_job(reply_url="https://hooks.example.com/secret?key=1", reply_ref="https://refs.example.com")
    sim.start_job(type="user:4711 https://types.example.com/")
    sim.respond_with(
        "accounts",
        {account["email"]: {"error": "see https://errors.example.com/4711, user:4711-secret-token"}},
    )
    page.forget()
    text = page.client().get("/pixverse/api/capacity").text
    assert "(address)" in text
    for secret in ("4711", "secret", "://", "hooks", "refs.", sim.url.removeprefix("http://")):
        assert secret not in text


@pytest.mark.parametrize(
    "job_id", ["user:4711", "user:4711-pixverse:", "user:4711-pixverse:a@example.com-video", "x user:4711-y"]
)
def test_ids_of_a_form_of_their_own_tell_no_user_either(page, sim, job_id):
    sim.respond_with("scheduler/available", {"executing": [{"id": job_id}], "available": []})
    assert "4711" not in page.client().get("/pixverse/api/capacity").text


@pytest.mark.pixverse_simulator(accounts=ACCOUNTS)
def test_an_account_with_a_pending_error_says_which(page, sim):
    sim.set_pending_error("a@example.com", "Log in again")
    errors = {account["email"]: account["error"] for account in page.capacity()["capacity"]["accounts"]}
    assert errors == {"a@example.com": "Log in again", "b@example.com": None}


def test_an_account_that_only_the_list_of_accounts_knows_is_shown(page, sim):
    sim.respond_with("scheduler/available", {"executing": [], "available": []})
    sim.respond_with("accounts", {"lost@example.com": {"error": "Log in again"}})
    assert page.capacity()["capacity"]["accounts"] == [
        {"email": "lost@example.com", "total": 0, "executing": 0, "free": 0, "error": "Log in again"}
    ]


def test_accounts_that_cannot_be_asked_for_are_no_trouble(page, sim):
    sim.inject(faults.status(500), None, "accounts")
    answer = page.capacity()
    assert answer["trouble"] is None
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
def test_in_trouble_the_last_snapshot_stays(page, sim, fault, kind):
    before = page.capacity()
    sim.inject(fault, None)
    began = page.capacity()
    assert trouble_of(began) == kind
    assert (began["capacity"], began["taken_at"]) == (before["capacity"], before["taken_at"])
    later = page.capacity()
    assert later["trouble"]["since"] == began["trouble"]["since"]
    sim.clear_faults()
    after = page.capacity()
    assert after["trouble"] is None
    assert after["taken_at"] > before["taken_at"]


@pytest.mark.parametrize("fault", [faults.echo_token(401), faults.status(503), faults.reset()])
def test_trouble_tells_no_address_and_no_token(page, sim, fault, caplog):
    sim.inject(fault, None)
    text = page.client().get("/pixverse/api/capacity").text
    assert sim.token not in text
    assert "127.0.0.1" not in text
    assert "127.0.0.1" in caplog.text


def test_a_service_that_is_down_is_trouble_and_comes_back(page, sim):
    assert page.capacity()["trouble"] is None
    sim.stop()
    down = page.capacity()
    assert trouble_of(down) == "network"
    assert down["capacity"]["free"] == 6
    sim.start()
    assert page.capacity()["trouble"] is None


def test_trouble_from_the_start_leaves_nothing_to_show(page, sim):
    sim.token = "user:1-another"
    answer = page.capacity()
    assert trouble_of(answer) == "token"
    assert (answer["capacity"], answer["taken_at"]) == (None, None)


def test_a_new_token_in_the_connection_ends_the_trouble(page, sim, monkeypatch):
    sim.token = "user:1-another"
    assert trouble_of(page.capacity()) == "token"
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))
    assert page.capacity()["trouble"] is None


def test_the_service_says_when_it_may_be_asked_again(page, sim):
    sim.inject(faults.rate_limit(retry_after=120))
    answer = page.capacity()
    assert answer["trouble"]["retry_at"] == pytest.approx(time.time() + 120, abs=60)
    requests = sim.request_count
    assert trouble_of(page.capacity()) == "busy"
    assert sim.request_count == requests


def test_trouble_is_logged_once(page, sim, caplog):
    sim.inject(faults.status(503), None)
    for _ in range(3):
        page.capacity()
    assert caplog.text.count("has no new snapshot") == 1


def test_a_connection_that_cannot_be_used_is_trouble(page, sim, monkeypatch):
    broken = sim.connection | {"password": ""}
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(broken))
    assert trouble_of(page.capacity()) == "connection"
    assert sim.request_count == 0


def test_a_bug_is_trouble_too_and_is_logged(page, sim, monkeypatch, caplog):
    monkeypatch.setattr("airflow_pixverse.page.capacity.PixverseHook", None)
    assert trouble_of(page.capacity()) == "page"
    assert "TypeError" in caplog.text
