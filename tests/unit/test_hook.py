"""The hook: which client a connection makes, and what it says of one that cannot be used."""

import json

import pytest
import requests

from airflow_pixverse.api.errors import PixverseAuthError, PixverseFatalError
from airflow_pixverse.hooks.connection import client_from_connection
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.simulator import faults

TOKEN = "user:42-t0ps3cret"


@pytest.fixture
def connection(monkeypatch):
    """A function that defines the connection ``pixverse_default``."""

    def define(uri=None, **fields):
        fields = {"conn_type": "pixverse", "password": TOKEN, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", uri or json.dumps(fields))

    return define


def base_url(**kwargs):
    return PixverseHook(**kwargs).get_conn().base_url


def test_the_hook_calls_the_two_endpoints(sim):
    job_id = sim.start_job()
    hook = PixverseHook()
    assert [job.id for job in hook.list_executing()] == [job_id]
    assert hook.get_capacity().free_slots() == 5


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


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "https://api.useapi.net/v2/pixverse/"),
        ({"port": 0}, "https://api.useapi.net/v2/pixverse/"),
        ({"host": "gate.example.com"}, "https://gate.example.com/v2/pixverse/"),
        ({"host": "https://gate.example.com/"}, "https://gate.example.com/v2/pixverse/"),
        ({"host": "gate.example.com", "port": 8443}, "https://gate.example.com:8443/v2/pixverse/"),
        ({"host": "https://gate.example.com:9", "port": 8443}, "https://gate.example.com:9/v2/pixverse/"),
        ({"host": "http://127.0.0.1:8900"}, "http://127.0.0.1:8900/v2/pixverse/"),
        ({"host": "127.0.0.1", "schema": "http", "port": 8900}, "http://127.0.0.1:8900/v2/pixverse/"),
        ({"host": "localhost", "schema": "HTTP", "port": 0}, "http://localhost/v2/pixverse/"),
        ({"host": "::1", "schema": "http", "port": 8900}, "http://[::1]:8900/v2/pixverse/"),
        (
            {"host": "http://gate.example.com", "extra": {"allow_http": True}},
            "http://gate.example.com/v2/pixverse/",
        ),
    ],
)
def test_the_origin_is_put_together_from_the_fields(connection, fields, expected):
    connection(**fields)
    assert base_url() == expected


def test_a_connection_uri_with_an_encoded_token_works(sim, connection):
    sim.token = "user:42-a/b"
    connection(uri=f"pixverse://:user%3A42-a%2Fb@127.0.0.1:{sim.port}/http")
    assert PixverseHook().get_capacity().free_slots() == 6


def test_white_space_around_the_token_is_dropped(sim, connection):
    connection(host=sim.url, password=f"  {sim.token}\n")
    assert PixverseHook().get_capacity().free_slots() == 6


def test_the_extra_sets_timeout_retries_proxy_and_certificates(connection, tmp_path):
    connection(
        extra={
            "timeout": "5",
            "max_retries": 1,
            "proxy": "http://p.example.com:1",
            "ca_bundle": str(tmp_path),
        }
    )
    client = PixverseHook().get_conn()
    assert client.timeout == (5, 5)
    assert client.max_retries == 1
    connection(extra={"timeout": 90, "max_retries": None, "proxy": "", "ca_bundle": None, "allow_http": ""})
    client = PixverseHook().get_conn()
    assert client.timeout == (10, 90)
    assert client.max_retries == 3


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"password": ""}, "password: token is empty"),
        ({"password": None}, "password: token is empty"),
        ({"password": f"{TOKEN}\r\nX: y"}, "password: token holds control"),
        ({"host": "http://gate.example.com"}, "host: plain http .* allow_http"),
        ({"host": "http://10.0.0.8:80"}, "host: plain http"),
        ({"host": "https://"}, "host: "),
        ({"host": "https://me@example.com"}, "host: "),
        ({"host": "x", "schema": "ftp"}, "schema: must be http or https"),
        ({"extra": {"timeout": 0}}, "extra field timeout: must be more than 0"),
        ({"extra": {"timeout": "soon"}}, "extra field timeout: must be a number"),
        ({"extra": {"timeout": True}}, "extra field timeout: must be a number"),
        ({"extra": {"max_retries": -1}}, "extra field max_retries: must be a whole number"),
        ({"extra": '{"max_retries": 1e400}'}, "extra field max_retries: must be a number"),
        ({"host": "a..b"}, "host: "),
        ({"extra": {"max_retries": 1.5}}, "extra field max_retries: must be a whole number"),
        ({"extra": {"allow_http": "maybe"}}, "extra field allow_http: must be true or false"),
        ({"extra": {"proxy": "nowhere"}}, "extra field proxy: must be an address"),
        ({"extra": {"ca_bundle": "/no/such/file"}}, "extra field ca_bundle: no such file"),
    ],
)
def test_a_connection_that_cannot_be_used_is_a_fatal_error_that_names_the_field(connection, fields, field):
    connection(**fields)
    with pytest.raises(
        PixverseFatalError, match=f"connection 'pixverse_default' cannot be used: {field}"
    ) as caught:
        PixverseHook().get_conn()
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("extra", ["{broken", "[1]", "7"])
def test_an_extra_that_is_no_json_object_is_named(extra):
    from airflow.providers.common.compat.sdk import Connection

    conn = Connection(conn_id="px", conn_type="pixverse", password=TOKEN)
    conn.extra = extra
    with pytest.raises(PixverseFatalError, match="connection 'px' cannot be used: extra: it "):
        client_from_connection(conn)


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


def test_test_connection_tells_success(sim):
    sim.start_job()
    assert PixverseHook().test_connection() == (True, "Connected: 5 free slots in 2 accounts")


def test_test_connection_tells_a_bad_token(sim, connection):
    connection(host=sim.url)
    ok, message = PixverseHook().test_connection()
    assert not ok
    assert message.startswith("The API token was refused")


def test_test_connection_tells_an_unreachable_host(sim, connection):
    sim.stop()
    connection(host=sim.url, extra={"max_retries": 0})
    ok, message = PixverseHook().test_connection()
    assert not ok
    assert message.startswith(f"Cannot reach {sim.url}")


def test_test_connection_tells_a_service_in_trouble(sim, connection):
    connection(host=sim.url, password=sim.token, extra={"max_retries": 0})
    sim.inject(faults.status(503))
    ok, message = PixverseHook().test_connection()
    assert not ok
    assert message.startswith("The service has trouble: GET scheduler/available answered 503")


def test_test_connection_tells_a_connection_that_cannot_be_used(connection):
    connection(password="")
    message = "password: token is empty: give the API token of useapi.net"
    expected = (False, f"connection 'pixverse_default' cannot be used: {message}")
    assert PixverseHook().test_connection() == expected


def test_a_refused_token_is_an_auth_error(sim, connection):
    connection(host=sim.url)
    with pytest.raises(PixverseAuthError):
        PixverseHook().list_executing()
    assert sim.request_count == 1
