"""SharedCredits: the credits of accounts, asked for once a minute for all waits together."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

# Seconds for which the credits of an account are taken to be what was read.
_LIFETIME = 60.0
# Seconds that an event waits for an answer at most: a slot may be kept meanwhile.
_PATIENCE = 5.0


class SharedCredits:
    """
    The credits of the accounts of one service and token, for one event loop.

    Trouble counts as an answer, so a service in trouble is asked no more often.

    :param read: returns the credits of an account, None if unknown. An error of it is logged.
    """

    def __init__(self, read: Callable[[str | None], Coroutine[Any, Any, int | None]]) -> None:
        self._read = read
        self._asked: dict[str | None, tuple[float, asyncio.Task[int | None]]] = {}

    async def get(self, email: str | None, *, since: float = -math.inf) -> int | None:
        """
        Return the credits of an account, at most a minute old. None if unknown, or not known soon.

        :param email: the account; None for the only one, where there is only one.
        :param since: moment on the monotonic clock; credits that were read before it are read again.
        """
        now = time.monotonic()
        asked_at, asking = self._asked.get(email, (-math.inf, None))
        is_old = asked_at < since or (asking is not None and asking.done() and asked_at < now - _LIFETIME)
        if asking is None or is_old:
            asking = asyncio.create_task(self._ask(email))
            self._asked[email] = now, asking
        # Not cancelled: other waits use the answer, too.
        await asyncio.wait({asking}, timeout=_PATIENCE)
        return asking.result() if asking.done() else None

    async def _ask(self, email: str | None) -> int | None:
        try:
            return await self._read(email)
        except Exception:
            log.warning("Could not read the credits of %s", email or "the account", exc_info=True)
            return None
