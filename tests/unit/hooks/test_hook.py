"""The hook: the calls it makes, and what the Test button says."""

import pytest
import requests

from airflow_pixverse.api.errors import PixverseAuthError, PixverseFatalError
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.simulator import faults
from tests.unit.hooks.conftest import TOKEN


def test_the_hook_calls_the_two_endpoints(sim):
    job_id = sim.start_job()
    hook = PixverseHook()
    assert [job.id for job in hook.list_executing()] == [job_id]
    assert hook.get_capacity().free_slots() == 5


def test_the_hook_reads_results_accounts_and_plans_and_cancels(sim):
    job_id = sim.start_job()
    sim.respond_with(f"videos/{job_id}", {"video_status": 1, "url": "https://media.example.com/1.mp4"})
    sim.respond_with("images/7", {"image_status": 5})
    sim.respond_with("accounts", {"a@example.com": {"maxJobs": 3}})
    sim.respond_with("features/", {"plan_name": "Pro Plan"})
    hook = PixverseHook()
    assert hook.get_result(job_id).is_completed
    assert hook.get_result("7", "image").state == "QUEUED"
    assert [account.max_jobs for account in hook.get_accounts()] == [3]
    assert hook.get_features("a@example.com").plan_name == hook.get_features().plan_name == "Pro Plan"
    assert hook.cancel(job_id)
    assert not hook.cancel(job_id)


def test_one_connection_is_kept_alive(sim, monkeypatch):
    opened = []
    connect = requests.packages.urllib3.connection.HTTPConnection.connect
    monkeypatch.setattr(
        "urllib3.connection.HTTPConnection.connect", lambda self: (opened.append(self), connect(self))[1]
    )
    hook = PixverseHook()
    for _ in range(5):
        hook.get_capacity()
    assert len(opened) == 1


def test_the_user_agent_names_package_airflow_and_python(sim):
    PixverseHook().get_capacity()
    agent = sim.requests[0].headers["User-Agent"]
    assert agent.startswith("airflow-pixverse/")
    assert "apache-airflow/" in agent
    assert "python/3." in agent


def test_a_subclass_may_look_connections_up_in_its_own_way(sim):
    class Hook(PixverseHook):
        @classmethod
        def get_connection(cls, conn_id):
            assert conn_id == "elsewhere"
            return PixverseHook.get_connection("pixverse_default")

    assert Hook("elsewhere").get_capacity().free_slots() == 6


def test_a_missing_connection_says_how_to_create_it():
    with pytest.raises(
        PixverseFatalError, match=r"'px_missing' is not defined.*airflow connections add px_missing"
    ):
        PixverseHook("px_missing").get_conn()


@pytest.mark.parametrize(
    "value", ["{not json", "pixverse://a://b://user:1-t0ps3cret@h", "pixverse://h:user-t0ps3cret"]
)
def test_a_connection_that_cannot_be_read_is_a_fatal_error_without_its_words(connection, value):
    connection(uri=value)
    with pytest.raises(PixverseFatalError, match="cannot be read") as caught:
        PixverseHook().get_conn()
    assert "t0ps3cret" not in str(caught.value)


def test_a_refused_token_is_an_auth_error(sim, connection):
    connection(host=sim.url)
    with pytest.raises(PixverseAuthError):
        PixverseHook().list_executing()
    assert sim.request_count == 1


def test_the_test_button_tells_success(sim):
    sim.start_job()
    expected = f"Connected to 127.0.0.1:{sim.port}. Accounts: 2, free slots: 5"
    assert PixverseHook().test_connection() == (True, expected)


def test_the_test_button_names_accounts_that_take_no_jobs(sim):
    sim.respond_with("accounts", {"a@example.com": {"error": "wrong password"}, "b@example.com": {}})
    sim.respond_with("features/", {"expired_date": "2026-05-31T00:00:00Z"})
    ok, message = PixverseHook().test_connection()
    assert ok
    assert message == (
        f"Connected to 127.0.0.1:{sim.port}. Accounts: 2, free slots: 6. "
        "Account a@example.com takes no jobs until it is added again at useapi.net: wrong password. "
        "The plan of account b@example.com expired on 2026-05-31"
    )


@pytest.mark.parametrize("status", [401, 404, 503])
def test_the_test_button_works_where_accounts_are_not_told(sim, connection, status):
    connection(host=sim.url, password=sim.token, extra={"max_retries": 0})
    sim.respond_with("accounts", {}, status)
    expected = f"Connected to 127.0.0.1:{sim.port}. Accounts: 2, free slots: 6"
    assert PixverseHook().test_connection() == (True, expected)


def test_the_test_button_tells_a_bad_token(sim, connection):
    connection(host=sim.url)
    ok, message = PixverseHook().test_connection()
    assert not ok
    assert message.startswith("The API token was refused: connection 'pixverse_default'")
    assert f"127.0.0.1:{sim.port}" in message
    assert TOKEN not in message


def test_the_test_button_tells_an_unreachable_host(sim, connection):
    sim.stop()
    connection(host=sim.url, extra={"max_retries": 0})
    ok, message = PixverseHook().test_connection()
    assert not ok
    assert message.startswith("No usable answer: ")
    assert f"127.0.0.1:{sim.port}" in message


def test_the_test_button_tells_a_service_in_trouble(sim, connection):
    connection(host=sim.url, password=sim.token, extra={"max_retries": 0})
    sim.inject(faults.status(503))
    ok, message = PixverseHook().test_connection()
    assert not ok
    assert message.startswith("The service is in trouble: ")
    assert "503" in message
    assert f"127.0.0.1:{sim.port}" in message


def test_the_test_button_tells_a_connection_that_cannot_be_used(connection):
    connection(password="")
    message = "password: token is empty: give the API token of useapi.net"
    expected = (False, f"connection 'pixverse_default' cannot be used: {message}")
    assert PixverseHook().test_connection() == expected


def test_the_test_button_tells_a_connection_that_cannot_be_looked_up():
    class Hook(PixverseHook):
        @classmethod
        def get_connection(cls, conn_id):
            raise ConnectionRefusedError

    ok, message = Hook().test_connection()
    assert not ok
    assert "connection 'pixverse_default' could not be read" in message
