"""What can end a wait at a gate, apart from what is wrong with the API or the connection."""

from __future__ import annotations

from airflow_pixverse.api.errors import PixverseError


class GateFailedError(PixverseError):
    """A bug ended this wait, and no other."""


class GateMovedError(PixverseError):
    """
    The connection of this wait belongs to another gate now: queue there.

    Raised by what fetches for a gate, it says that all have moved away, and there is nothing to fetch.
    """
