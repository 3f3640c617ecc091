"""The hook: its calls, and the result of the Test button."""

import pytest

from airflow_pixverse.hooks.pixverse import PixverseHook
from tests.helpers.raw_server import RawServer, always, answer
from tests.unit.hooks.conftest import TOKEN, refusal_of


def test_hook_has_the_calls_of_the_client(sim):
    job_id = sim.start_job()
    sim.respond_with(f"videos/{job_id}", {"video_status": 1, "url": "https://media.example.com/1.mp4"})
    sim.respond_with("images/7", {"image_status": 5})
    sim.respond_with("accounts", {"a@example.com": {"maxJobs": 3}})
    sim.respond_with("features/", {"plan_name": "Pro Plan"})
    hook = PixverseHook()
    assert [job.id for job in hook.list_executing()] == [job_id]
    assert hook.get_capacity().free_slots() == 5
    assert hook.get_result(job_id).is_completed
    assert hook.get_result("7", "image").state == "QUEUED"
    assert [account.max_jobs for account in hook.get_accounts()] == [3]
    assert hook.get_features("a@example.com").plan_name == hook.get_features().plan_name == "Pro Plan"
    assert hook.cancel(job_id)
    assert not hook.cancel(job_id)


def test_hook_keeps_one_connection_alive_and_names_itself(connection):
    with RawServer(always(answer())) as server:
        hook = connection(host=server.url)
        for _ in range(3):
            hook.get_capacity()
    assert [number for number, _ in server.requests] == [1, 1, 1]
    agent = server.requests[0][1].decode().partition("User-Agent: ")[2].partition("\r\n")[0]
    assert agent.startswith("airflow-pixverse/")
    assert "apache-airflow/" in agent
    assert "python/3." in agent


def test_hook_of_a_subclass_may_look_connections_up_in_its_own_way(sim):
    class Hook(PixverseHook):
        @classmethod
        def get_connection(cls, conn_id):
            assert conn_id == "elsewhere"
            return PixverseHook.get_connection("pixverse_default")

    assert Hook("elsewhere").get_capacity().free_slots() == 6


def test_connection_that_is_missing_says_how_to_create_it():
    message = refusal_of(PixverseHook("px_missing").get_conn)
    assert "'px_missing' is not defined" in message
    assert "airflow connections add px_missing" in message


@pytest.mark.parametrize(
    "value", ["{not json", "pixverse://a://b://user:1-t0ps3cret@h", "pixverse://h:user-t0ps3cret"]
)
def test_connection_that_cannot_be_read_is_fatal_without_its_words(connection, value):
    message = refusal_of(connection(uri=value).get_conn)
    assert "cannot be read" in message
    assert "t0ps3cret" not in message


# The Test button


@pytest.fixture
def hook(sim, connection):
    """A hook of the simulator that does not retry."""
    return connection(host=sim.url, password=sim.token, extra={"max_retries": 0})


PROBLEMS = (
    ". Account a@example.com takes no jobs until it is added again at useapi.net: wrong password. "
    "The plan of account b@example.com expired on 2026-05-31"
)


@pytest.mark.parametrize(
    ("accounts", "problems"),
    [
        (({"a@example.com": {"error": "wrong password"}, "b@example.com": {}}, 200), PROBLEMS),
        *[(({}, status), "") for status in (200, 401, 404, 503)],
    ],
)
def test_test_button_tells_success_and_the_problems_of_accounts_if_known(sim, hook, accounts, problems):
    sim.respond_with("accounts", *accounts)
    sim.respond_with("features/", {"expired_date": "2026-05-31T00:00:00Z"})
    connected = f"Connected to 127.0.0.1:{sim.port}. Accounts: 2, free slots: 6"
    assert hook.test_connection() == (True, connected + problems)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "The API token was refused: connection 'pixverse_default' (127.0.0.1:"),
        (503, "The service answered with an error: connection 'pixverse_default' (127.0.0.1:"),
        (None, "No usable answer: connection 'pixverse_default' (127.0.0.1:"),
    ],
    ids=["bad token", "trouble", "not there"],
)
def test_test_button_tells_why_the_service_cannot_be_used(sim, hook, status, words):
    if status:
        sim.respond_with("scheduler/available", {}, status)
    else:
        sim.stop()
    ok, message = hook.test_connection()
    assert not ok
    assert message.startswith(words)
    assert str(status or "") in message
    assert sim.token not in message


def test_test_button_tells_a_connection_that_cannot_be_used(connection):
    message = "password: token is empty: give the API token of useapi.net"
    expected = (False, f"connection 'pixverse_default' cannot be used: {message}")
    assert connection(password="").test_connection() == expected


def test_test_button_tells_a_connection_that_cannot_be_looked_up():
    class Hook(PixverseHook):
        @classmethod
        def get_connection(cls, conn_id):
            raise ConnectionRefusedError(TOKEN)

    ok, message = Hook().test_connection()
    assert not ok
    assert "connection 'pixverse_default' could not be read" in message
