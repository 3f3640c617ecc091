"""The look of a retry for what an earlier try has sent, of which nobody noted what became."""

from datetime import UTC, datetime

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.marks import Mark
from airflow_pixverse.simulator import faults
from airflow_pixverse.submits.settle import find_submitted

REFERENCE = "airflow:dag/run/task/-1#abc"


def find(sim, clock, *, sent, endpoint="videos/create"):
    """Look at 1000 for what was sent at a time of the same clock."""
    mark = Mark(
        state="sending",
        reference=REFERENCE,
        fingerprint="f00d",
        endpoint=endpoint,
        max_tries=1,
        try_number=1,
        sent_at=datetime.fromtimestamp(sent, UTC).isoformat(),
    )
    with PixverseClient(sim.token, sim.url, max_retries=0) as client:
        return find_submitted(client, mark, clock=lambda: clock.now, sleep=clock.sleep)


def test_a_job_that_executes_is_found_at_once(sim, clock):
    job = sim.start_job(reply_ref=REFERENCE)
    assert find(sim, clock, sent=995) == [job]
    assert clock.passed() == 0


def test_a_job_that_the_service_lists_late_is_found(sim, clock):
    clock.at[30] = lambda: sim.start_job(reply_ref=REFERENCE)
    assert len(find(sim, clock, sent=990)) == 1
    assert clock.passed() == 30


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [(990, 35), (955, 0), (100, 0), (5000, 45)],
    ids=["ten seconds ago", "45 seconds ago", "long ago", "by a clock that is ahead"],
)
def test_it_is_looked_for_until_it_was_sent_45_seconds_ago(sim, clock, sent, seconds):
    assert find(sim, clock, sent=sent) == []
    assert clock.passed() == seconds


def test_a_list_that_cannot_be_seen_is_no_list_without_the_job(sim, clock):
    sim.inject(faults.status(503))
    with pytest.raises(PixverseTransientError):
        find(sim, clock, sent=100)


def test_what_the_accounts_have_made_need_not_be_seen_where_something_executes(sim, clock):
    job = sim.start_job("a-1@example.com", type="image", reply_ref=REFERENCE)
    sim.inject(faults.status(503), path="accounts")
    assert find(sim, clock, sent=995, endpoint="images/create") == [job]
