"""Addresses: which can be used, and where they really lead."""

import pytest

from airflow_pixverse.api.address import checked_base_url, host_of, is_loopback_http, is_plain, origin


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.useapi.net", "https://api.useapi.net:443"),
        ("HTTPS://API.useapi.net:443/x?y#z", "https://api.useapi.net:443"),
        ("http://127.0.0.1:8900/a@b", "http://127.0.0.1:8900"),
        ("http://[::1]/", "http://[::1]:80"),
        ("https://ex\N{LATIN SMALL LETTER A WITH DIAERESIS}mple.com", "https://xn--exmple-cua.com:443"),
    ],
)
def test_the_origin_is_that_of_the_request_that_is_sent(url, expected):
    assert origin(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.useapi.net",
        "ftp://x",
        "http://",
        "http://a..b",
        "http://[bad",
        "http://x:99999",
        "http://x:port",
        "http://OTHER\\@SERVICE/x",
        "http://me@x",
        "http://me:pw@x",
        "http://x/a b",
        " http://x",
        "http://x\t",
        "http://x\r\n/",
        "http://x\x00",
        "http://x\N{RIGHT-TO-LEFT OVERRIDE}",
        "http://x\N{NO-BREAK SPACE}",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_plain_address_has_no_origin(url):
    assert origin(url) == ""
    with pytest.raises(
        ValueError, match=r"^base_url is no plain address like https://api.useapi.net or http"
    ):
        checked_base_url(url)


def test_what_is_no_address_at_all_is_for_others_to_say():
    assert is_plain("http://[bad")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.useapi.net", "https://api.useapi.net/v2/pixverse/"),
        ("https://api.useapi.net/", "https://api.useapi.net/v2/pixverse/"),
        ("http://127.0.0.1:8900", "http://127.0.0.1:8900/v2/pixverse/"),
        ("https://gate.example.com/px", "https://gate.example.com/px/"),
        ("https://gate.example.com/px//", "https://gate.example.com/px/"),
    ],
)
def test_the_path_of_the_api_is_added_where_there_is_none(url, base):
    assert checked_base_url(url) == base


@pytest.mark.parametrize("url", ["https://x/?y", "https://x/#y"])
def test_an_address_with_a_query_or_a_fragment_is_refused(url):
    with pytest.raises(ValueError, match="no plain address"):
        checked_base_url(url)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.useapi.net/v2", "api.useapi.net"),
        ("https://api.useapi.net:443/v2", "api.useapi.net"),
        ("https://api.useapi.net:80/v2", "api.useapi.net:80"),
        ("http://127.0.0.1:8900/", "127.0.0.1:8900"),
        ("http://[::1]:8900/", "[::1]:8900"),
        ("http://[::1]/", "[::1]"),
    ],
)
def test_the_host_is_named_with_its_port_where_that_says_something(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8900", True),
        ("http://127.1.2.3", True),
        ("http://localhost:8900/x", True),
        ("http://LOCALHOST", True),
        ("http://[::1]:8900", True),
        ("https://127.0.0.1", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
    ],
)
def test_plain_http_to_this_machine_is_recognized(url, expected):
    assert is_loopback_http(url) is expected
