"""Admission: what a wait for a slot has led to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from airflow_pixverse.slot_news import News


class Admission(NamedTuple):
    """
    What a wait for a slot has led to.

    :param accounts: those with room, in their JSON form, the one that is to be used first.
    :param random_part: of the ``replyRef`` that the gate keeps the slot for; empty where none is kept.
    :param valid_until: until when it is kept, in seconds since the epoch; None where none is kept.
    """

    accounts: list[dict[str, Any]]
    random_part: str = ""
    valid_until: float | None = None

    def news(self, news: News) -> dict[str, str] | None:
        """Return what a trigger is to tell the gate about the slot; None where none is kept."""
        return {"reference": self.random_part, "news": news.value} if self.random_part else None
