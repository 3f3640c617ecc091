"""What a test, or a person through ``/simulator/``, can do to accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_pixverse.simulator.fields import FieldError, integer, text

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_pixverse.simulator.service import Service


class AccountControl:
    """
    Changes accounts, and shows their free slots.

    :param service: the accounts and jobs
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    def free(self, email: str | None = None) -> int:
        """Return how many slots are free, at one account or at all."""
        return self.service.free(email)

    def set_max_jobs(self, email: str, max_jobs: int) -> None:
        """Change how many jobs an account may execute at once; jobs that are executing continue."""
        self.service.configure(email, max_jobs=integer("max_jobs", max_jobs, 0))

    def set_pending_error(self, email: str, error: str | None) -> None:
        """Give an account an error, so that it refuses jobs with 596, or with ``None`` mend it."""
        self.service.configure(email, pending_error=None if error is None else text("pending_error", error))

    def set_credits(self, email: str, credits: int | None) -> None:  # noqa: A002 - the API's word
        """Change how many credits an account has; with ``None``, they are never used up. A job costs 20."""
        self.service.configure(email, credits=None if credits is None else integer("credits", credits, 0))

    def set_expiry(self, email: str, expires: datetime) -> None:
        """Change when an account's plan ends (with a time zone); its jobs are taken all the same."""
        if expires.tzinfo is None:
            raise FieldError("expires", "must have a time zone")
        self.service.configure(email, expires=expires.timestamp())
