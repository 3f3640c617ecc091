"""Errors that end a wait at a gate, apart from those of the API and the connection."""

from airflow_pixverse.api.errors import PixverseError


class GateFailedError(PixverseError):
    """A bug ended this wait, and no other."""


class GateMovedError(PixverseError):
    """
    The connection of this wait belongs to another gate now: queue there.

    If ``fetch`` raises it, every connection has moved away from the gate, and there is nothing to fetch.
    """
