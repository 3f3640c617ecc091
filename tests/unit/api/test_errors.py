"""Meanings of each HTTP status, and how errors say them."""

import pickle

import pytest

from airflow_pixverse.api import errors
from airflow_pixverse.api.errors import (
    STATUS_MEANINGS,
    PixverseAccessError,
    PixverseAuthError,
    PixverseError,
    PixverseFatalError,
    PixverseJobFailedError,
    PixverseJobModeratedError,
    PixverseNoConnectionError,
    PixverseNoResultError,
    PixverseRateLimitError,
    PixverseTransientError,
    PixverseUnknownOutcomeError,
    error_for_status,
    is_not_accepted,
    unknown_outcome,
)
from airflow_pixverse.gate.errors import GateFailedError, GateMovedError
from airflow_pixverse.journal.errors import JournalError
from airflow_pixverse.storage.errors import StorageError
from airflow_pixverse.submission.errors import NotListedError, NotSentError, UnsettledError

RATE_LIMIT = "429 Too Many Requests (it does not say when it may be asked again)"
NO_ACCOUNT = "404 Not Found (check the host, and that a PixVerse account is configured at useapi.net)"
# For each status: the class of its error, the end of its message, and whether it refuses a submit.
MEANINGS = {
    400: (PixverseFatalError, "400 Bad Request (the request is refused as it is)", True),
    401: (PixverseAuthError, "401 Unauthorized (check the API token)", True),
    402: (PixverseAccessError, "402 Payment Required (the useapi.net subscription has expired)", True),
    403: (PixverseAuthError, "403 Forbidden (check the API token)", True),
    404: (PixverseAccessError, NO_ACCOUNT, True),
    405: (PixverseFatalError, "405 Method Not Allowed (check the path)", True),
    408: (PixverseTransientError, "408 Request Timeout", False),
    412: (PixverseAccessError, "412 Precondition Failed (the account has no credits left)", True),
    422: (PixverseFatalError, " (the input is refused, by moderation perhaps)", True),
    425: (PixverseTransientError, "425 Too Early", False),
    429: (PixverseRateLimitError, RATE_LIMIT, True),
    596: (PixverseAccessError, "596 (the account is in an error state at useapi.net)", True),
}


def error_of(status, **kwargs):
    return error_for_status(status, method="GET", path="x", **kwargs)


@pytest.mark.parametrize(
    "kind", [GateFailedError, GateMovedError, JournalError, NotSentError, StorageError, UnsettledError]
)
def test_error_of_another_room_is_in_the_tree_and_retryable(kind):
    assert issubclass(kind, PixverseError)
    assert not issubclass(kind, (PixverseFatalError, PixverseTransientError))


def test_error_of_what_may_be_sent_does_not_derive_from_nothing_was_sent():
    assert PixverseNoConnectionError.__subclasses__() == []
    assert not issubclass(NotListedError, PixverseNoConnectionError)
    assert issubclass(NotListedError, PixverseTransientError)


def test_unknown_outcome_is_not_caught_by_code_that_submits_again():
    assert not issubclass(PixverseUnknownOutcomeError, (PixverseTransientError, PixverseFatalError))


def test_every_status_with_a_meaning_is_tested():
    assert set(MEANINGS) == set(STATUS_MEANINGS)


@pytest.mark.parametrize(
    ("status", "kind", "words", "refuses"), [(key, *row) for key, row in MEANINGS.items()]
)
def test_status_with_a_meaning_decides_the_error(status, kind, words, refuses, monkeypatch):
    error = error_of(status)
    assert type(error) is kind
    assert str(error).startswith("GET x answered ")
    assert str(error).endswith(words)
    assert is_not_accepted(error) == refuses
    without = {key: meaning for key, meaning in STATUS_MEANINGS.items() if key != status}
    monkeypatch.setattr(errors, "STATUS_MEANINGS", without)
    changed = error_of(status)
    assert (type(changed), str(changed)) != (kind, str(error)), "without it, something else would be raised"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *[(status, PixverseFatalError) for status in (406, 410, 418, 451, 499)],
        *[(status, PixverseTransientError) for status in (None, 100, 204, 304, 399, 500, 504, 527, 599, 999)],
    ],
)
def test_status_without_a_meaning_is_fatal_only_where_it_blames_the_client(status, kind):
    assert type(error_of(status)) is kind


@pytest.mark.parametrize(
    ("status", "details", "message"),
    [
        # The server's words are not repeated.
        (503, {"detail": "Service Unavailable"}, "503 Service Unavailable"),
        (503, {"detail": "service unavailable."}, "503 Service Unavailable"),
        (500, {"detail": "500 Internal Server Error"}, "500 Internal Server Error"),
        (500, {"detail": ""}, "500 Internal Server Error"),
        (503, {"detail": "Down for an hour"}, "503 Service Unavailable: Down for an hour"),
        (503, {"detail": "Service"}, "503 Service Unavailable: Service"),
        (520, {"detail": "Web server"}, "520: Web server"),
        (None, {"detail": "out of order"}, "an error: out of order"),
        # It says when to ask again.
        (429, {"retry_after": 17.4}, "429 Too Many Requests (it may be asked again in 17 s)"),
        (429, {"retry_after": 0}, "429 Too Many Requests (it may be asked again in 0 s)"),
        (429, {"detail": "All busy"}, RATE_LIMIT.replace(" (", ": All busy (")),
        (401, {"retry_after": 17}, "401 Unauthorized (check the API token)"),
    ],
)
def test_message_names_status_words_of_the_server_and_hint(status, details, message):
    error = error_of(status, **details)
    assert str(error) == f"GET x answered {message}"
    assert error.detail == details.get("detail")
    if isinstance(error, PixverseTransientError):
        assert error.retry_after == details.get("retry_after")


@pytest.mark.parametrize(
    "make",
    [
        lambda: error_of(401, detail="no"),
        lambda: error_of(429, detail="no", retry_after=3),
        lambda: PixverseJobFailedError("x", job_id="1", detail="y"),
        lambda: PixverseJobModeratedError("x", job_id="1", detail="y"),
        lambda: PixverseNoConnectionError("x", method="POST", path="y"),
        lambda: PixverseNoResultError("x"),
        lambda: unknown_outcome(error_of(500, detail="no"), {"a": 1}),
    ],
)
def test_error_that_is_sent_to_another_process_is_the_same(make):
    error = make()
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
