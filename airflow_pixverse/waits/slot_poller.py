"""SlotPoller: free slots that a worker polls for."""

from collections.abc import Sequence
from typing import Any

from airflow_pixverse.hooks.pixverse import PixverseHook


class SlotPoller:
    """
    Polls for free slots, and warns once of each obstacle.

    :param slots: free slots to wait for.
    :param emails: the accounts that count; None for all accounts.
    :param log: the task's logger.
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
        from airflow_pixverse.api.scheduler import accounts_with_room, describe_room, obstacles

        capacity = hook.get_capacity()
        self._log.info("%s", describe_room(capacity, self._slots, self._emails))
        for obstacle in obstacles(capacity, self._slots, self._emails):
            if obstacle not in self._warned:
                self._log.warning("%s", obstacle)
                self._warned.add(obstacle)
        return [account.to_xcom() for account in accounts_with_room(capacity, self._slots, self._emails)]
