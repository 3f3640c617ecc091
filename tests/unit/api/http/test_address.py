"""Addresses: which can be used, and where they really lead."""

import pytest

from airflow_pixverse.api.http.address import host_of, is_loopback_http, is_plain, origin
from airflow_pixverse.api.service import checked_base_url


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
def test_origin_of_an_address_is_that_of_the_request_that_is_sent(url, expected):
    assert origin(url) == expected


NO_ADDRESS = [
    *("", "api.useapi.net", "ftp://x", "javascript:alert(1)"),
    *("http://", "http://a..b", "http://[bad", "http://x:99999", "http://x:port"),
    *("http://OTHER\\@SERVICE/x", "http://me@x", "http://me:pw@x"),
    *("http://x/a b", " http://x", "http://x\t", "http://x\r\n/", "http://x\x00"),
    *("http://x\N{RIGHT-TO-LEFT OVERRIDE}", "http://x\N{NO-BREAK SPACE}"),
]


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_origin_of_what_is_no_plain_address_is_empty(url):
    assert origin(url) == ""


@pytest.mark.parametrize("url", [*NO_ADDRESS, "https://x/?y", "https://x/#y"])
def test_base_url_that_is_no_plain_address_is_refused(url):
    words = r"^base_url is no plain address like https://api.useapi.net or http"
    with pytest.raises(ValueError, match=words):
        checked_base_url(url)


def test_address_that_cannot_be_parsed_is_left_to_others_to_refuse():
    assert is_plain("http://[bad")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.useapi.net", "https://api.useapi.net/v2/pixverse/"),
        ("https://api.useapi.net/", "https://api.useapi.net/v2/pixverse/"),
        ("http://127.0.0.1:8900", "http://127.0.0.1:8900/v2/pixverse/"),
        ("https://gate.example.com/pX", "https://gate.example.com/pX/"),
        ("https://gate.example.com/px//", "https://gate.example.com/px/"),
    ],
)
def test_base_url_without_a_path_gets_that_of_the_api(url, base):
    assert checked_base_url(url) == base


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
def test_host_is_named_with_a_port_that_is_not_the_usual_one(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8900", True),
        ("http://127.1.2.3", True),
        ("http://LOCALHOST:8900/x", True),
        ("http://[::1]:8900", True),
        ("https://127.0.0.1", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
    ],
)
def test_loopback_http_is_recognized(url, expected):
    assert is_loopback_http(url) is expected
