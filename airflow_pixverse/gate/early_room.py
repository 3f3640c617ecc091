"""EarlyRoom: how many waits may look for a slot at once that they were let through early for."""

from collections import Counter
from typing import Self

from airflow_pixverse.api.scheduler import Capacity, email_key


class EarlyRoom:
    """
    The early admissions of each account: one for each slot, and fewer where other users take the slots.

    A worker that looks for a slot in vain is busy for a minute. So each that loses its slot lets one wait
    fewer look at a time, and each that gets one lets one more.
    """

    def __init__(self) -> None:
        self._awaited: dict[str, str] = {}
        """The executing jobs that waits look for the slots of, and the account of each."""
        self._in_vain: Counter[str] = Counter()
        """How many waits looked in vain by the last snapshot."""
        self._lost: Counter[str] = Counter()

    def record_admission(self, job_id: str, email: str) -> None:
        """Record that a wait looks for the slot of a job."""
        self._awaited[job_id] = email

    def record_got(self, email: str) -> None:
        """Record that a wait that was let through early has got its slot."""
        self._lost[email] = max(self._lost[email] - 1, 0)

    def observe(self, capacity: Capacity, looking: Counter[str]) -> None:
        """
        Count the slots that others have taken.

        Whose slot it was does not matter: where more waits look than jobs are still to end, some look in
        vain.

        :param looking: how many waits of each account look for slots, none of which is free.
        """
        if not capacity.lists_all_executing:
            return
        listed = {job.id for job in capacity.executing}
        self._awaited = {job_id: email for job_id, email in self._awaited.items() if job_id in listed}
        in_vain = looking - Counter(self._awaited.values())
        total: Counter[str] = Counter()
        for account in capacity.accounts:
            total[email_key(account.email)] += account.total
        for email, waits in (in_vain - self._in_vain).items():
            self._lost[email] = min(self._lost[email] + waits, max(0, total[email] - 1))
        self._in_vain = in_vain

    def at_once(self, email: str, total: int) -> int:
        """Return how many waits may look at once on an account with so many slots."""
        return max(1, total - self._lost[email])

    def adopt(self, other: Self) -> None:
        """Take over what another gate of the same accounts knows, if that is more doubtful."""
        self._awaited |= other._awaited
        self._lost |= other._lost
