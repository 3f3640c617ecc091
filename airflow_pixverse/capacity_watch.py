"""CapacityWatch: free slots as a worker looks for them, look by look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_pixverse.hooks.pixverse import PixverseHook


class CapacityWatch:
    """
    Asks for free slots, and warns once of each thing that stands in the way.

    :param slots: how many are wanted.
    :param emails: the accounts that count; None for all.
    :param log: where to tell how it goes.
    """

    def __init__(self, slots: int, emails: Sequence[str] | None, log: Any) -> None:
        self._slots = slots
        self._emails = emails
        self._log = log
        self._warned: set[str] = set()

    def look(self, hook: PixverseHook) -> list[dict[str, Any]]:
        """
        Return the accounts with room in their JSON form, most free first; none if too few slots are free.

        :raises PixverseError: there is no answer.
        """
        from airflow_pixverse.api.models import accounts_with_room
        from airflow_pixverse.api.room import describe_room, obstacles

        capacity = hook.get_capacity()
        self._log.info("%s", describe_room(capacity, self._slots, self._emails))
        for obstacle in obstacles(capacity, self._slots, self._emails):
            if obstacle not in self._warned:
                self._log.warning("%s", obstacle)
                self._warned.add(obstacle)
        return [account.to_xcom() for account in accounts_with_room(capacity, self._slots, self._emails)]
