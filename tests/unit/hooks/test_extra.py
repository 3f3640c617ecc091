"""The extra of a connection: its fields, and the form that is made from them."""

import json

import pytest
from pydantic import ValidationError

from airflow_pixverse.api.client import DEFAULT_MAX_RETRIES
from airflow_pixverse.api.http.deadline import DEFAULT_TIMEOUT
from airflow_pixverse.hooks.extra import ConnectionExtra, form_fields, parse_extra
from tests.helpers.clients import error_of


def parsed(**fields):
    extra, unknown_keys = parse_extra(json.dumps(fields))
    assert unknown_keys == []
    return extra


@pytest.mark.parametrize("text", [None, "", "  ", "{}"])
def test_extra_that_is_absent_leaves_all_to_the_client(text):
    assert parse_extra(text) == (ConnectionExtra(), [])


@pytest.mark.parametrize("empty", [None, "", "  "])
@pytest.mark.parametrize("field", ConnectionExtra.model_fields)
def test_field_of_the_form_that_is_empty_counts_as_not_set(field, empty):
    assert parsed(**{field: empty}) == ConnectionExtra()


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("timeout", 0.5, 0.5),
        ("timeout", "30", 30),
        ("timeout", " 600 ", 600),
        ("max_retries", 0, 0),
        ("max_retries", "10", 10),
        ("max_retries", 3.0, 3),
        ("allow_http", True, True),
        ("allow_http", "True", True),
        ("allow_http", "yes", True),
        ("allow_http", "1", True),
        ("allow_http", 0, False),
        ("allow_http", "off", False),
        ("proxy", "http://me:pass@proxy.example.com:3128", "http://me:pass@proxy.example.com:3128"),
    ],
)
def test_field_may_be_given_as_the_form_or_a_uri_gives_it(field, given, expected):
    assert getattr(parsed(**{field: given}), field) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ({"timeout": 5}, "it must be JSON text"),
        ("{broken", "it is not valid JSON"),
        *[(other, "it must be a JSON object") for other in ("[1]", "7", '"x"')],
        ('{"x": ' + "9" * 10_000 + "}", "it is not valid JSON"),
        (json.dumps({"x": "y" * 2_000_000}), "it is longer than 65536 characters"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "it is nested too deep"),
        ('{"timeout": ' + "[" * 1000 + "]" * 1000 + "}", ""),  # too deep for some versions of Python only
        ('{"timeout": 0}', "timeout must be greater than 0"),
        ('{"timeout": 601}', "timeout must be less than or equal to 600"),
        ('{"timeout": 1e400}', "timeout must be a finite number"),
        ('{"timeout": NaN}', "timeout must be a finite number"),
        ('{"timeout": "soon"}', "timeout must be a valid number"),
        ('{"timeout": true}', "timeout must be a number"),
        ('{"timeout": {"a": 1}}', "timeout must be a valid number"),
        ('{"max_retries": -1}', "max_retries must be greater than or equal to 0"),
        ('{"max_retries": 11}', "max_retries must be less than or equal to 10"),
        ('{"max_retries": 1.5}', "max_retries must be a valid integer"),
        ('{"max_retries": false}', "max_retries must be a number"),
        ('{"allow_http": "maybe"}', "allow_http must be a valid boolean"),
        ('{"proxy": 1}', "proxy must be a valid string"),
        ('{"proxy": "nowhere"}', "proxy must be an address such as http://"),
        ('{"proxy": "proxy.example.com:3128"}', "proxy must be an address such as http://"),
        ('{"proxy": "http://proxy.example.com\\nx: y"}', "proxy must be an address such as http://"),
        ('{"proxy": "socks5://proxy.example.com:1080"}', "proxy must begin with http://"),
        ('{"proxy": "http://proxy.example.com:0"}', "proxy must be an address such as http://"),
        ('{"proxy": "ftp://proxy.example.com"}', "proxy must begin with http://"),
        ('{"ca_bundle": 1}', "ca_bundle must be a valid string"),
        ('{"ca_bundle": "/no/such/file"}', "ca_bundle cannot be read: No such file"),
        ('{"timeout": "x", "ca_bundle": "/no/such/file"}', "timeout must be a valid number"),
    ],
)
def test_extra_that_cannot_be_used_says_why(text, words):
    message = str(error_of(parse_extra, text, kind=ValueError))
    assert message.startswith(words)
    assert len(message) < 300


def test_key_that_is_unknown_is_named_and_changes_nothing():
    assert parse_extra('{"time_out": 5, "Proxy": "x"}') == (ConnectionExtra(), ["Proxy", "time_out"])


def test_password_of_a_proxy_is_not_shown():
    assert "s3cret" not in repr(parsed(proxy="http://me:s3cret@proxy.example.com:3128"))
    error = error_of(ConnectionExtra, proxy="ftp://me:s3cret@proxy.example.com", kind=ValidationError)
    assert "s3cret" not in str(error)


def test_form_shows_each_field_with_its_limits():
    fields = form_fields()
    assert list(fields) == list(ConnectionExtra.model_fields)
    schemas = {name: field["schema"] for name, field in fields.items()}
    assert schemas == {
        "timeout": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 600},
        "max_retries": {"type": ["integer", "null"], "minimum": 0, "maximum": 10},
        "allow_http": {"type": ["boolean", "null"]},
        "proxy": {"type": ["string", "null"]},
        "ca_bundle": {"type": ["string", "null"]},
        "allow_private_results": {"type": ["boolean", "null"]},
        "min_credits": {"type": ["integer", "null"], "minimum": 0},
    }


def test_form_tells_the_defaults_of_the_client():
    fields = form_fields()
    assert f"({DEFAULT_TIMEOUT[1]:g} when empty)" in fields["timeout"]["description"]
    assert f"({DEFAULT_MAX_RETRIES} when empty)" in fields["max_retries"]["description"]
