"""What each HTTP status means, and how errors say it."""

import pickle

import pytest

from airflow_pixverse.api import errors
from airflow_pixverse.api.errors import (
    STATUS_MEANINGS,
    PixverseAuthError,
    PixverseFatalError,
    PixverseJobFailedError,
    PixverseJobModeratedError,
    PixverseNoConnectionError,
    PixverseRateLimitError,
    PixverseTransientError,
    error_for_status,
    unknown_outcome,
)

MEANINGS = {
    400: (PixverseFatalError, "400 Bad Request (the request is refused as it is)"),
    401: (PixverseAuthError, "401 Unauthorized (check the API token)"),
    402: (PixverseFatalError, "402 Payment Required (the useapi.net subscription has expired)"),
    403: (PixverseAuthError, "403 Forbidden (check the API token)"),
    404: (
        PixverseFatalError,
        "404 Not Found (check the host, and that a PixVerse account is configured at useapi.net)",
    ),
    405: (PixverseFatalError, "405 Method Not Allowed (check the path)"),
    408: (PixverseTransientError, "408 Request Timeout"),
    412: (PixverseFatalError, "412 Precondition Failed (the account has no credits left)"),
    422: (PixverseFatalError, " (the input is refused, by moderation perhaps)"),
    425: (PixverseTransientError, "425 Too Early"),
    429: (
        PixverseRateLimitError,
        "429 Too Many Requests (it does not say when it may be asked again)",
    ),
    596: (PixverseFatalError, "596 (the account is in an error state at useapi.net)"),
}


def error_of(status, **kwargs):
    return error_for_status(status, method="GET", path="x", **kwargs)


def test_every_row_of_the_table_is_tested():
    assert set(MEANINGS) == set(STATUS_MEANINGS)


@pytest.mark.parametrize(("status", "kind", "words"), [(key, *row) for key, row in MEANINGS.items()])
def test_a_row_of_the_table_decides(status, kind, words, monkeypatch):
    error = error_of(status)
    assert type(error) is kind
    assert str(error).startswith("GET x answered ")
    assert str(error).endswith(words)
    without = {key: meaning for key, meaning in STATUS_MEANINGS.items() if key != status}
    monkeypatch.setattr(errors, "STATUS_MEANINGS", without)
    changed = error_of(status)
    assert (type(changed), str(changed)) != (kind, str(error)), "without it, something else would be raised"


@pytest.mark.parametrize("status", [406, 410, 418, 451, 499])
def test_any_other_status_that_blames_the_client_is_fatal(status):
    assert type(error_of(status)) is PixverseFatalError


@pytest.mark.parametrize("status", [None, 100, 204, 304, 399, 500, 502, 503, 504, 520, 527, 599, 999])
def test_any_other_status_is_transient(status):
    assert type(error_of(status)) is PixverseTransientError


@pytest.mark.parametrize(
    ("status", "detail", "message"),
    [
        (503, "Service Unavailable", "GET x answered 503 Service Unavailable"),
        (503, "service unavailable.", "GET x answered 503 Service Unavailable"),
        (500, "500 Internal Server Error", "GET x answered 500 Internal Server Error"),
        (500, "", "GET x answered 500 Internal Server Error"),
        (503, "Down for an hour", "GET x answered 503 Service Unavailable: Down for an hour"),
        (503, "Service", "GET x answered 503 Service Unavailable: Service"),
        (520, "Web server", "GET x answered 520: Web server"),
        (None, "out of order", "GET x answered an error: out of order"),
    ],
)
def test_what_the_server_says_is_not_said_twice(status, detail, message):
    assert str(error_of(status, detail=detail)) == message
    assert error_of(status, detail=detail).detail == detail


def test_it_says_when_it_may_be_asked_again():
    error = error_of(429, detail="Too Many Requests", retry_after=17.4)
    assert str(error) == "GET x answered 429 Too Many Requests (it may be asked again in 17 s)"
    assert error.retry_after == 17.4


def test_a_rate_limit_without_a_time_says_that_it_names_none():
    error = error_of(429, detail="All accounts are busy")
    assert str(error) == (
        "GET x answered 429 Too Many Requests: All accounts are busy "
        "(it does not say when it may be asked again)"
    )
    assert error_of(429, retry_after=0).args == (
        "GET x answered 429 Too Many Requests (it may be asked again in 0 s)",
    )


def test_a_fatal_error_does_not_speak_of_asking_again():
    error = error_of(401, retry_after=17)
    assert str(error) == "GET x answered 401 Unauthorized (check the API token)"


def test_an_error_names_the_service():
    assert str(error_of(500, service="connection 'px' (x.example.com)")).startswith(
        "connection 'px' (x.example.com): GET x answered 500"
    )


@pytest.mark.parametrize("status", [401, 429, 500])
def test_an_error_can_be_sent_to_another_process(status):
    error = error_of(status, detail="no", retry_after=3)
    assert_copied(error)


@pytest.mark.parametrize(
    "error",
    [
        PixverseJobFailedError("x", job_id="1", detail="y"),
        PixverseJobModeratedError("x", job_id="1", detail="y"),
        PixverseNoConnectionError("x", method="POST", path="y"),
        unknown_outcome(error_of(500, detail="no"), {"a": 1}),
    ],
)
def test_so_can_any_other(error):
    assert_copied(error)


def assert_copied(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
