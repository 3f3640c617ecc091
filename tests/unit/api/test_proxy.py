"""Proxies: used where asked for, never for plain http to this machine, and their passwords stay hidden."""

import traceback
from functools import partial

import pytest

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError, PixverseTransientError
from tests.helpers import clients
from tests.helpers.clients import error_of
from tests.helpers.raw_server import answer

VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


client_of = partial(clients.client_of, timeout=(2, 2))


@pytest.fixture
def client_through(monkeypatch):
    """A function that makes a client whose proxy comes from the parameter, or from a variable."""
    for name in (*VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def make(source, proxy, url="http://service.invalid"):
        if source == "parameter":
            return client_of(url, proxy=proxy)
        monkeypatch.setenv(source, proxy)
        return client_of(url)

    return make


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error.__context__)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("source", ["parameter", *VARIABLES])
def test_proxy_is_not_used_for_plain_http_to_this_machine(raw_server, client_through, source, host):
    proxy, server = raw_server(), raw_server()
    client = client_through(source, proxy.url, server.url.replace("127.0.0.1", host))
    assert client.get_capacity().accounts == []
    assert (proxy.connections, server.connections) == (0, 1)


@pytest.mark.parametrize("source", ["parameter", "http_proxy"])
def test_proxy_is_used_for_other_hosts(raw_server, client_through, source):
    proxy = raw_server()
    client = client_through(source, proxy.url.replace("http://", "http://me:pa55@"))
    assert client.get_capacity().accounts == []
    head = proxy.requests[0][1]
    assert head.startswith(b"GET http://service.invalid/v2/pixverse/scheduler/available HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic " in head


def test_proxy_of_the_parameter_wins_over_the_environment(raw_server, client_through, monkeypatch):
    proxy, other = raw_server(), raw_server()
    monkeypatch.setenv("http_proxy", other.url)
    monkeypatch.setenv("all_proxy", other.url)
    client_through("parameter", proxy.url).get_capacity()
    assert (proxy.connections, other.connections) == (1, 0)


def test_proxy_of_the_environment_is_read_for_each_call(raw_server, client_through, monkeypatch):
    proxy, other = raw_server(), raw_server()
    client = client_through("http_proxy", proxy.url)
    client.get_capacity()
    monkeypatch.setenv("http_proxy", other.url)
    client.get_capacity()
    assert (proxy.connections, other.connections) == (1, 1)


@pytest.mark.parametrize("source", ["parameter", "all_proxy"])
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
def test_proxy_that_cannot_be_used_is_told_without_its_password(client_through, source, proxy, kind, url):
    client = client_through(source, proxy, url)
    error = error_of(client.get_capacity, kind=kind)
    assert "proxy" in str(error)
    assert "pa55" not in shown(error)
    assert "pa55" not in repr(client)


def test_proxy_that_refuses_is_told_without_its_password(raw_server):
    proxy = raw_server(answer(b"", "407 Proxy Authentication Required: me:pa55"))
    client = client_of("https://service.invalid", proxy=proxy.url.replace("//", "//me:pa55@"))
    error = error_of(client.get_capacity, kind=PixverseTransientError)
    assert "the proxy cannot be reached, or does not" in str(error)
    assert "pa55" not in shown(error)


def test_proxy_that_answers_for_the_service_is_read_as_the_service(raw_server):
    proxy = raw_server(answer(b'{"error": "denied"}', "403 Forbidden"))
    with pytest.raises(PixverseError, match="403 Forbidden: denied"):
        client_of("http://service.invalid", proxy=proxy.url).get_capacity()
