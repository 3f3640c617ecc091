"""The fields of a connection: the client they make, and the message on those that cannot be used."""

import json
import logging
import socket
from functools import partial

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.hooks.connection import client_from_connection, connection_label
from airflow_pixverse.hooks.extra import ConnectionExtra
from airflow_pixverse.hooks.pixverse import PixverseHook
from tests.helpers.clients import error_of
from tests.unit.hooks.conftest import TOKEN, refusal_of


def client_of(**fields):
    """Make a client from a connection of these fields, without Airflow's own reading of them."""
    given = {"conn_id": "px", "conn_type": "pixverse", "password": "user:1-a", **fields}
    return client_from_connection(Connection(**given))


def read(hook, url):
    """Read the beginning of a file of a result."""
    with hook.get_media_client().open(url) as media:
        next(media.chunks)


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
def test_origin_is_put_together_from_the_fields(connection, fields, expected):
    assert connection(**fields).get_conn().base_url == expected


def test_connection_uri_with_an_encoded_token_works(sim, connection):
    sim.token = "user:42-a/b"
    hook = connection(uri=f"pixverse://:user%3A42-a%2Fb@127.0.0.1:{sim.port}/http?timeout=20")
    assert hook.get_capacity().free_slots() == 6


def test_token_is_sent_without_white_space_around_it(sim, connection):
    assert connection(host=sim.url, password=f"  {sim.token}\n").get_capacity().free_slots() == 6


EMPTY = {"max_retries": None, "proxy": "", "ca_bundle": None, "allow_http": ""}


@pytest.mark.parametrize(
    ("extra", "timeout", "max_retries"),
    [({"timeout": "5", "max_retries": 1}, (5, 5), 1), ({"timeout": 90, **EMPTY}, (10, 90), 3)],
)
def test_extra_sets_timeout_and_retries_or_leaves_them(connection, extra, timeout, max_retries):
    client = connection(extra=extra).get_conn()
    assert (client.timeout, client.max_retries) == (timeout, max_retries)
    assert PixverseHook(max_retries=0).get_conn().max_retries == 0


def test_proxy_of_the_extra_is_used_for_calls_and_files(sim, connection):
    # The simulator as the proxy: it is asked for whole addresses.
    sim.end_job(sim.start_job())
    extra = {"proxy": sim.url, "allow_http": True, "max_retries": 0}
    hook = connection(host="http://gate.example.com", extra=extra)
    hook.test_connection()
    read(hook, "http://media.example.com/media/1.mp4")
    assert sim.request_count == 2


def test_timeout_of_the_extra_is_used_for_files(connection):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hook = connection(extra={"timeout": 0.1, "allow_private_results": True})
        with pytest.raises(PixverseTransientError, match=r"0\.1 s"):
            read(hook, f"http://127.0.0.1:{silent.getsockname()[1]}/1.mp4")


def test_certificates_of_the_extra_are_the_only_ones_trusted(connection, tls_service):
    server, certificate = tls_service
    extra = {"max_retries": 0, "allow_private_results": True}
    hook = connection(host=server.url, extra=extra)
    for call in (hook.get_capacity, partial(read, hook, server.url)):
        with pytest.raises(PixverseTransientError, match="certificate"):
            call()
    hook = connection(host=server.url, extra=extra | {"ca_bundle": certificate})
    assert hook.get_capacity().accounts == []
    with pytest.raises(PixverseTransientError, match="answered application/json instead of a file"):
        read(hook, server.url)


@pytest.mark.parametrize(
    ("conn_type", "words"),
    [
        ("http", "it is 'http', and what belongs to another service is not sent"),
        ("PixVerse", "it is 'PixVerse'"),
        (TOKEN, "it is another one"),
        ("", "it has none: choose"),
        (None, "it has none: choose"),
    ],
)
def test_connection_of_another_type_is_refused_unread(conn_type, words):
    message = refusal_of(client_of, conn_type=conn_type, extra="{broken")
    assert message.startswith(f"connection 'px' cannot be used: connection type: {words}")
    assert "'pixverse'" in message or '"pixverse"' in message


@pytest.mark.parametrize(
    "uri", ["http://me:s3cret@127.0.0.1:{port}", '{{"host": "127.0.0.1", "port": {port}}}']
)
def test_host_of_a_connection_of_another_type_is_sent_nothing(sim, connection, uri):
    hook = connection(uri=uri.format(port=sim.port))
    assert "connection type: it " in refusal_of(hook.get_capacity)
    assert sim.request_count == 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": ""}, "password: token is empty"),
        ({"password": None}, "password: token is empty"),
        ({"password": "***"}, "password: it is the mask that Airflow shows"),
        ({"password": f"{TOKEN}\r\nX: y"}, "password: token holds control"),
        ({"host": "http://gate.example.com"}, "host: plain http would send the token unencrypted"),
        ({"host": "http://10.0.0.8:80"}, "host: plain http"),
        ({"host": "https://"}, "host: must be an address"),
        ({"host": "a..b"}, "host: must be an address"),
        ({"host": "gate.example.com\\@evil.example.com"}, "host: must be an address"),
        ({"host": "x", "schema": "ftp"}, "schema: must be http or https"),
        ({"extra": {"timeout": 1e10}}, "extra: timeout must be less than or equal to 600"),
        ({"extra": {"proxy": "nowhere", "timeout": 0}}, "extra: timeout must be greater than 0; proxy must"),
    ],
)
def test_field_that_cannot_be_used_is_named(connection, fields, words):
    message = refusal_of(connection(**fields).get_conn)
    assert message.startswith(f"connection 'pixverse_default' cannot be used: {words}")


@pytest.mark.parametrize("port", [-1, 65536, TOKEN])
def test_port_that_is_none_is_named_and_not_repeated(port):
    message = refusal_of(client_of, host="gate.example.com", port=port)
    assert message == "connection 'px' cannot be used: port: must be a number from 1 to 65535"


@pytest.mark.parametrize(
    "fields",
    [
        *[{"host": host} for host in (TOKEN, "user:42:t0ps3cret", TOKEN.replace(":", "%3A"), f"[{TOKEN}]")],
        *[
            {"host": f"https://{host}"}
            for host in (TOKEN, f"{TOKEN}@api.useapi.net", f"api.useapi.net:{TOKEN}")
        ],
        *[{"host": f"api.useapi.net{rest}"} for rest in (f"?token={TOKEN}", f"/#{TOKEN}")],
        {"host": TOKEN, "port": 443},
        {"host": "x", "schema": TOKEN},
        {"extra": TOKEN},
        *[{"extra": json.dumps({key: TOKEN})} for key in ConnectionExtra.model_fields],
        *[
            {"extra": json.dumps({"proxy": f"{scheme}://me:{TOKEN}@proxy.example.com{port}"})}
            for scheme, port in [("http", ":port"), ("http", ":99999"), ("ftp", ""), ("socks5", ":1")]
        ],
    ],
)
def test_secret_in_the_wrong_field_is_not_repeated(fields):
    error = error_of(client_of, **fields, kind=PixverseFatalError)
    assert str(error).startswith("connection 'px' cannot be used: ")
    assert "t0ps3cret" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_misspelt_key_of_the_extra_is_warned_of_once_without_its_value(connection, caplog):
    hook = connection(extra={"time_out": "t0ps3cret", "timeout": 20})
    with caplog.at_level(logging.WARNING, "airflow_pixverse"):
        hook.get_conn()
        PixverseHook().get_conn()
    [warning] = [line for line in caplog.messages if "mean nothing here" in line]
    assert "connection 'pixverse_default'" in warning
    assert "time_out" in warning
    assert "timeout, max_retries, allow_http, proxy, ca_bundle" in warning
    assert "t0ps3cret" not in warning


@pytest.mark.parametrize(
    ("conn_id", "label"),
    [
        ("pixverse_default", "connection 'pixverse_default'"),
        ("a\nERROR forged \x1b[31m line", "connection 'aERROR forged [31m line'"),
        ("x" * 1000, f"connection '{'x' * 100}...'"),
    ],
)
def test_label_of_a_connection_is_one_short_line(conn_id, label):
    assert connection_label(conn_id) == label
