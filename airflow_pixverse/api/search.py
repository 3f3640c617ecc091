"""Looking for a job of which only is known how it was submitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_pixverse.api.endpoints import kind_of_endpoint
from airflow_pixverse.api.errors import PixverseError

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.results import JobResult

_PAGE = 50
_MOST_PAGES = 10  # of each account
# "GET music/" lists speech too, which has no list of its own.
_LISTED_WITH = {"speech": "music"}
# The clocks of this machine and of the service may differ by this much.
_CLOCK_DIFFERENCE = timedelta(minutes=5)


@dataclass(frozen=True)
class Traces:
    """
    What a submit leaves in the API's lists.

    :param endpoint: where it was sent, such as ``videos/create``.
    :param reference: its ``replyRef``, which no other submit has.
    :param sent_at: when it was sent, with a zone.
    :param seed: the seed that was chosen for it, at random; None if it has none, or one of the user's own.
    :param email: the account that it was sent to; None if the service chose one.
    """

    endpoint: str
    reference: str
    sent_at: datetime
    seed: int | None = None
    email: str | None = None

    def are_of(self, result: JobResult) -> bool:
        """Return whether a result is that of a job of this submit."""
        if result.reply_ref is not None:
            return result.reply_ref == self.reference
        return self.seed is not None and result.seed == self.seed and not self._is_older(result)

    def precede(self, results: list[JobResult]) -> bool:
        """Return whether all of these were made before it was sent."""
        return all(map(self._is_older, results))

    def _is_older(self, result: JobResult) -> bool:
        return result.created is not None and result.created < self.sent_at - _CLOCK_DIFFERENCE


def find_executing(client: PixverseClient, reference: str) -> list[str]:
    """
    Return the ids of the jobs with a ``replyRef`` that execute now (``GET scheduler/``).

    Off-peak jobs are never listed there.

    :raises PixverseError: there is no answer.
    """
    return [job.id for job in client.list_executing() if job.id and job.reply_ref == reference]


def find_made(client: PixverseClient, traces: Traces) -> list[str]:
    """
    Return the ids of the jobs of a submit among all that its accounts have made.

    They are looked for in ``GET videos/`` and its likes, and told by their ``replyRef`` where the API repeats
    it, else by their seed and age. To find none proves nothing: the API may repeat neither.

    :raises PixverseError: there is no answer for an account, and none was found on the others.
    """
    kind = kind_of_endpoint(traces.endpoint) or ""
    emails = [traces.email] if traces.email else [account.email for account in client.get_accounts()]
    found: list[str] = []
    trouble: PixverseError | None = None
    for email in emails:
        try:
            results = list(_recent(client, _LISTED_WITH.get(kind, kind), email, traces))
        except PixverseError as error:  # one account in trouble does not hide the others
            trouble = error
        else:
            found += [result.id for result in results if result.id and traces.are_of(result)]
    if trouble and not found:
        raise trouble
    return found


def _recent(client: PixverseClient, kind: str, email: str | None, traces: Traces) -> Iterator[JobResult]:
    """Yield what an account has made, newest first, until all of a page is older than the submit."""
    offset = 0
    for _ in range(_MOST_PAGES):
        page = client.list_results(kind, email=email, limit=_PAGE, offset=offset)
        yield from page.results
        if not page.results or page.has_more is False or traces.precede(page.results):
            return
        offset = page.next_offset or offset + len(page.results)
