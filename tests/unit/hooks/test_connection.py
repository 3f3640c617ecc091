"""The fields of a connection: which client they make, and what is said of those that cannot be used."""

import json
import logging
import socket

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.hooks.connection import client_from_connection, connection_label
from airflow_pixverse.hooks.pixverse import PixverseHook
from tests.unit.hooks.conftest import TOKEN


def base_url():
    return PixverseHook().get_conn().base_url


def refusal():
    """What is said of the connection ``pixverse_default``, which is refused."""
    with pytest.raises(PixverseFatalError) as caught:
        PixverseHook().get_conn()
    return str(caught.value)


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
    connection(uri=f"pixverse://:user%3A42-a%2Fb@127.0.0.1:{sim.port}/http?timeout=20")
    assert PixverseHook().get_capacity().free_slots() == 6


def test_white_space_around_the_token_is_dropped(sim, connection):
    connection(host=sim.url, password=f"  {sim.token}\n")
    assert PixverseHook().get_capacity().free_slots() == 6


def test_the_extra_sets_timeout_and_retries(connection):
    connection(extra={"timeout": "5", "max_retries": 1})
    client = PixverseHook().get_conn()
    assert client.timeout == (5, 5)
    assert client.max_retries == 1
    assert PixverseHook(max_retries=0).get_conn().max_retries == 0


def test_an_extra_that_leaves_all_empty_changes_nothing(connection):
    connection(extra={"timeout": 90, "max_retries": None, "proxy": "", "ca_bundle": None, "allow_http": ""})
    client = PixverseHook().get_conn()
    assert client.timeout == (10, 90)
    assert client.max_retries == 3


def test_the_proxy_of_the_extra_is_used(sim, connection):
    # The simulator as the proxy: it is asked for the whole address.
    connection(host="http://gate.example.com", extra={"proxy": sim.url, "allow_http": True, "max_retries": 0})
    PixverseHook().test_connection()
    assert sim.request_count == 1


def test_files_of_results_come_through_the_proxy_of_the_extra_too(sim, connection):
    sim.end_job(sim.start_job())
    connection(extra={"proxy": sim.url})
    with PixverseHook().get_media_client().open("http://media.example.com/media/1.mp4") as media:
        assert media.content_type == "video/mp4"


def test_files_of_results_wait_as_long_as_the_extra_says(connection):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection(extra={"timeout": 0.1, "allow_private_results": True})
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/1.mp4"
        with (
            pytest.raises(PixverseTransientError, match=r"0\.1 s"),
            PixverseHook().get_media_client().open(url),
        ):
            pass


def test_only_the_certificates_of_the_extra_are_trusted(connection, tls_service):
    connection(host=tls_service.url, extra={"max_retries": 0})
    with pytest.raises(PixverseTransientError, match="certificate"):
        PixverseHook().get_capacity()
    connection(host=tls_service.url, extra={"max_retries": 0, "ca_bundle": tls_service.certificate})
    assert PixverseHook().get_capacity().accounts == []


def test_only_the_certificates_of_the_extra_are_trusted_for_files_too(connection, tls_service):
    extra = {"allow_private_results": True}
    connection(extra=extra)
    with (
        pytest.raises(PixverseTransientError, match="certificate"),
        PixverseHook().get_media_client().open(tls_service.url),
    ):
        pass
    connection(extra=extra | {"ca_bundle": tls_service.certificate})
    # Trusted, it may answer, which is no file.
    with PixverseHook().get_media_client().open(tls_service.url) as media:
        assert b"".join(media.chunks).startswith(b"{")


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
def test_a_connection_of_another_type_is_refused_before_anything_is_sent(sim, conn_type, words):
    conn = Connection(conn_id="other", conn_type=conn_type, host=sim.url, password=sim.token, extra="{broken")
    with pytest.raises(PixverseFatalError) as caught:
        client_from_connection(conn)
    message = str(caught.value)
    assert message.startswith(f"connection 'other' cannot be used: connection type: {words}")
    assert "'pixverse'" in message or '"pixverse"' in message
    assert TOKEN not in message
    assert sim.request_count == 0


@pytest.mark.parametrize(
    "uri", ["http://me:s3cret@127.0.0.1:{port}", '{{"host": "127.0.0.1", "port": {port}}}']
)
def test_the_hook_sends_nothing_to_the_host_of_a_connection_of_another_type(sim, connection, uri):
    connection(uri=uri.format(port=sim.port))
    assert "connection type: it " in refusal()
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
def test_a_field_that_cannot_be_used_is_named(connection, fields, words):
    connection(**fields)
    message = refusal()
    assert message.startswith(f"connection 'pixverse_default' cannot be used: {words}")
    assert TOKEN not in message


@pytest.mark.parametrize("port", [-1, 65536, TOKEN])
def test_a_port_that_is_none_is_named_and_not_repeated(port):
    conn = Connection(
        conn_id="px", conn_type="pixverse", host="gate.example.com", password="user:1-a", port=port
    )
    with pytest.raises(PixverseFatalError) as caught:
        client_from_connection(conn)
    assert str(caught.value) == "connection 'px' cannot be used: port: must be a number from 1 to 65535"


@pytest.mark.parametrize(
    "fields",
    [
        {"host": TOKEN},
        {"host": TOKEN, "port": 443},
        {"host": "user:42:t0ps3cret"},
        {"host": TOKEN.replace(":", "%3A")},
        {"host": f"https://{TOKEN}@api.useapi.net"},
        {"host": f"https://{TOKEN}"},
        {"host": f"https://api.useapi.net:{TOKEN}"},
        {"host": f"api.useapi.net?token={TOKEN}"},
        {"host": f"api.useapi.net/#{TOKEN}"},
        {"host": f"[{TOKEN}]"},
        {"host": "x", "schema": TOKEN},
        {"extra": TOKEN},
        {"extra": {"timeout": TOKEN}},
        {"extra": {"max_retries": TOKEN}},
        {"extra": {"allow_http": TOKEN}},
        {"extra": {"proxy": TOKEN}},
        {"extra": {"proxy": f"http://me:{TOKEN}@proxy.example.com:port"}},
        {"extra": {"proxy": f"http://me:{TOKEN}@proxy.example.com:99999"}},
        {"extra": {"proxy": f"ftp://me:{TOKEN}@proxy.example.com"}},
        {"extra": {"proxy": f"socks5://me:{TOKEN}@proxy.example.com:1"}},
        {"extra": {"ca_bundle": TOKEN}},
    ],
)
def test_a_secret_in_the_wrong_field_is_not_repeated(fields):
    if isinstance(fields.get("extra"), dict):
        fields = {**fields, "extra": json.dumps(fields["extra"])}
    conn = Connection(**{"conn_id": "px", "conn_type": "pixverse", "password": "user:1-a", **fields})
    with pytest.raises(PixverseFatalError, match="connection 'px' cannot be used: ") as caught:
        client_from_connection(conn)
    assert "t0ps3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_misspelt_key_of_the_extra_is_warned_of_once_without_its_value(connection, caplog):
    connection(extra={"time_out": "t0ps3cret", "timeout": 20})
    with caplog.at_level(logging.WARNING, "airflow_pixverse"):
        PixverseHook().get_conn()
        PixverseHook().get_conn()
    [warning] = [
        record.getMessage() for record in caplog.records if "mean nothing here" in record.getMessage()
    ]
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
def test_a_connection_is_named_on_one_short_line(conn_id, label):
    assert connection_label(conn_id) == label
