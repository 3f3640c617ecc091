"""Redaction of the signatures in URLs, in messages and in what HTTP libraries log."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from airflow_pixverse.api.http.sanitizer import one_line, shortened

# The loggers of urllib3 that name the URL of a request while it is sent.
_LOGGERS = ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")
_QUERY = re.compile(r"\?[^\s'\"]+")
_USER_INFO = re.compile(r"://[^/?#]*@")
_MAX_URL = 200

_is_redacting: ContextVar[bool] = ContextVar("is_redacting", default=False)


def redacted_url(url: str) -> str:
    """Return a URL for a message: one short line, without its query, which may be signed, and user info."""
    return shortened(one_line(_USER_INFO.sub("://", url.partition("?")[0])), _MAX_URL)


def without_queries(text: str) -> str:
    """Return a text with ``?***`` in place of the query of each URL in it."""
    return _QUERY.sub("?***", text)


@contextmanager
def redacted_logs() -> Iterator[None]:
    """
    Redact the URLs in what urllib3 logs about the requests of this context.

    Its debug line of a request names the whole path and query. Other requests, including those that other
    threads send meanwhile, are logged as they are.
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_REDACTION)
    token = _is_redacting.set(True)
    try:
        yield
    finally:
        _is_redacting.reset(token)


class _Redaction(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if _is_redacting.get():
            record.msg, record.args = without_queries(record.getMessage()), None
        return True


_REDACTION = _Redaction()
