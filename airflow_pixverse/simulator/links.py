"""The URLs of results: for ever, or signed and for a time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping


class LinkExpiredError(Exception):
    """The URL of a file cannot be used, or not any more."""


class Links:
    """
    Signs paths, and checks signed ones.

    :param seconds: for how long a link can be used; ``None`` for ever, and then links are not signed
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._key = secrets.token_bytes(16)

    def query(self, path: str, now: float) -> str:
        """Return what a link to ``path`` ends with: a query, or nothing while links are for ever."""
        if self.seconds is None:
            return ""
        expires = f"{now + self.seconds:.3f}"
        return f"?expires={expires}&signature={self._signature(path, expires)}"

    def check(self, path: str, query: Mapping[str, str], now: float) -> None:
        """
        Check that the link can be used.

        :raises LinkExpiredError: when it cannot; one without a signature can while links are for ever
        """
        if self.seconds is None and "signature" not in query:
            return
        expires = query.get("expires", "")
        presented, right = query.get("signature", ""), self._signature(path, expires)
        if not hmac.compare_digest(presented.encode(), right.encode()) or float(expires) <= now:
            raise LinkExpiredError("The link has expired, or was never given out")

    def expire(self) -> None:
        """Let all links that were signed until now expire."""
        self._key = secrets.token_bytes(16)

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{path} {expires}".encode(), hashlib.sha256).hexdigest()
