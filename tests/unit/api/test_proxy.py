"""Proxies: used where asked for, never for plain http to this machine, and their passwords stay hidden."""

import traceback

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseError, PixverseFatalError, PixverseTransientError
from airflow_pixverse.simulator import Simulator

from .raw_server import RawServer, always, answer

VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in (*VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def client_of(url, **kwargs):
    return PixverseClient("user:1-token", url, **{"max_retries": 0, "timeout": (2, 2), **kwargs})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("source", ["parameter", *VARIABLES])
def test_plain_http_to_this_machine_goes_through_no_proxy(source, host, environment):
    with RawServer(always(answer())) as proxy, Simulator() as sim:
        url = sim.url.replace("127.0.0.1", host)
        if source == "parameter":
            client = PixverseClient(sim.token, url, max_retries=0, proxy=proxy.url)
        else:
            environment.setenv(source, proxy.url)
            client = PixverseClient(sim.token, url, max_retries=0)
        assert client.get_capacity().free_slots() == 6
        assert proxy.connections == 0


@pytest.mark.parametrize("source", ["parameter", "http_proxy"])
def test_other_hosts_are_reached_through_the_proxy(source, environment):
    with RawServer(always(answer())) as proxy:
        address = proxy.url.replace("http://", "http://me:pa55@")
        if source == "parameter":
            client = client_of("http://service.invalid", proxy=address)
        else:
            environment.setenv(source, address)
            client = client_of("http://service.invalid")
        assert client.get_capacity().accounts == []
    head = proxy.requests[0][1]
    assert head.startswith(b"GET http://service.invalid/v2/pixverse/scheduler/available HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic " in head


def test_the_parameter_wins_over_the_environment(environment):
    with RawServer(always(answer())) as proxy, RawServer(always(answer())) as other:
        environment.setenv("http_proxy", other.url)
        environment.setenv("all_proxy", other.url)
        client_of("http://service.invalid", proxy=proxy.url).get_capacity()
        assert (proxy.connections, other.connections) == (1, 0)


def test_the_environment_is_read_for_each_call(environment):
    with RawServer(always(answer())) as proxy, RawServer(always(answer())) as other:
        client = client_of("http://service.invalid")
        for used in (proxy, other):
            environment.setenv("http_proxy", used.url)
            client.get_capacity()
        assert (proxy.connections, other.connections) == (1, 1)


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error.__context__)


@pytest.mark.parametrize("source", ["parameter", "environment"])
@pytest.mark.parametrize(
    ("proxy", "kind"),
    [
        ("http://me:pa55@127.0.0.1:1", PixverseTransientError),
        ("https://me:pa55@127.0.0.1:1", PixverseTransientError),
        ("http://me:pa55@127.0.0.1:99999", PixverseFatalError),
        ("http://me:pa55@[bad", PixverseFatalError),
        ("ftp://me:pa55@127.0.0.1:1", PixverseFatalError),
        ("socks5://me:pa55@127.0.0.1:1", PixverseFatalError),
        ("socks5h://me:pa55@127.0.0.1:1", PixverseFatalError),
    ],
)
@pytest.mark.parametrize("url", ["https://service.invalid", "http://service.invalid"])
def test_no_error_shows_the_password_of_a_proxy(source, proxy, kind, url, environment):
    if source == "environment":
        environment.setenv("all_proxy", proxy)
        client = client_of(url)
    else:
        client = client_of(url, proxy=proxy)
    with pytest.raises(kind, match="proxy") as caught:
        client.get_capacity()
    assert "pa55" not in shown(caught.value)
    assert "pa55" not in repr(client)


def test_a_proxy_that_refuses_is_said_in_plain_words():
    refusal = b"HTTP/1.1 407 Proxy Authentication Required: me:pa55\r\nContent-Length: 0\r\n\r\n"
    with RawServer(always(refusal)) as proxy:
        client = client_of("https://service.invalid", proxy=proxy.url.replace("//", "//me:pa55@"))
        with pytest.raises(
            PixverseTransientError, match="the proxy cannot be reached, or does not"
        ) as caught:
            client.get_capacity()
    assert "pa55" not in shown(caught.value)


def test_a_proxy_that_answers_for_the_service_is_read_as_the_service():
    denial = answer(b'{"error": "denied"}', "403 Forbidden")
    with RawServer(always(denial)) as proxy, pytest.raises(PixverseError, match="403 Forbidden: denied"):
        client_of("http://service.invalid", proxy=proxy.url).get_capacity()
