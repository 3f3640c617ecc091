"""What the page says of an error: a sentence of its own, since those of errors may name addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import (
    STATUS_MEANINGS,
    PixverseAuthError,
    PixverseError,
    PixverseFatalError,
    PixverseRateLimitError,
)

if TYPE_CHECKING:
    from airflow_pixverse.page.answer import TroubleKind

_SEE_LOG = "The log of the API server tells more."


def connection_trouble(error: PixverseError) -> tuple[TroubleKind, str]:
    """Return kind and message where a connection cannot be read or used."""
    if isinstance(error, PixverseFatalError):
        return "connection", f"The connection cannot be used: check it under Admin > Connections. {_SEE_LOG}"
    return "connection", f"The connection cannot be read just now. {_SEE_LOG}"


def service_trouble(error: PixverseError) -> tuple[TroubleKind, str]:
    """Return kind and message where the service gave no capacity."""
    answered = f"useapi.net answered {error.status}" if error.status else "useapi.net gave no usable answer"
    if isinstance(error, PixverseAuthError):
        return "token", (
            f"{answered}: it refuses the API token. Put the current token into the password of the "
            "connection; all waits fail until then."
        )
    if isinstance(error, PixverseFatalError):
        meaning = STATUS_MEANINGS.get(error.status or 0)
        reason = f": {meaning.hint}" if meaning and meaning.hint else ""
        return "refused", f"{answered}{reason}. {_SEE_LOG}"
    if isinstance(error, PixverseRateLimitError):
        return "busy", f"{answered}: too many requests. Nothing needs to be done."
    if error.status:
        return "service", f"{answered}. Waiting tasks go on waiting; nothing needs to be done here."
    return "network", (
        f"{answered}. Waiting tasks go on waiting. If this lasts, check the network of the API server. "
        f"{_SEE_LOG}"
    )


def no_answer_yet() -> tuple[TroubleKind, str]:
    """Return kind and message while a call takes unusually long."""
    return "network", "useapi.net is being asked, and has not answered yet."


def page_trouble() -> tuple[TroubleKind, str]:
    """Return kind and message where the page itself has failed."""
    return "page", f"The page could not look at the accounts, which is a bug. {_SEE_LOG}"
