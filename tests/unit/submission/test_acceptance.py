"""From the request of a task to a job that the service has accepted, once."""

from dataclasses import replace

import pytest

from airflow_pixverse.submission import flow, lost_jobs
from airflow_pixverse.submission.lost_jobs import LookTiming
from airflow_pixverse.triggers.job import PixverseJobTrigger
from tests.helpers.submit_parts import MemoryJournal, end_of_part, submitter
from tests.helpers.submits import posts
from tests.unit.journal.example import RECORD

pytestmark = pytest.mark.pixverse_simulator(job_seconds=(600, 600))

# Submits of earlier tries, none of which has said how it ended.
LOST = [
    replace(RECORD, reference=f"airflow:dag/run/make/-1#{n}", sent_at=f"2026-01-01T00:0{n}:00+00:00", seed=n)
    for n in (1, 2, 3)
]


@pytest.fixture
def journal_of(monkeypatch):
    """A function that gives the task a journal with records."""

    def give(*records):
        journal = MemoryJournal(*records)
        monkeypatch.setattr(flow, "journal_of", lambda _: journal)
        monkeypatch.setattr(lost_jobs, "TIMING", LookTiming(every=0.01))
        return journal

    return give


@pytest.mark.parametrize("on_unknown", ["fail", "resubmit"])
@pytest.mark.parametrize("max_tries", [RECORD.max_tries, RECORD.max_tries + 1], ids=["retry", "clear"])
@pytest.mark.parametrize("accepted", LOST, ids=["oldest", "second", "newest"])
def test_each_submit_that_got_lost_is_looked_for(sim, journal_of, on_unknown, max_tries, accepted):
    journal = journal_of(*LOST)
    job = sim.start_job(reply_ref=accepted.reference)
    operator = submitter(durable=True, on_unknown=on_unknown)
    trigger = end_of_part(operator, try_number=2, max_tries=max_tries)
    assert isinstance(trigger, PixverseJobTrigger)
    assert trigger.serialize()[1]["job_ids"] == [job]
    assert [one.job_ids for one in journal.read_all() if one.state == "accepted"] == [(job,)]
    assert posts(sim) == []


def test_the_newest_of_several_that_are_not_found_says_how_to_go_on(sim, journal_of):
    journal_of(*LOST)
    error = end_of_part(submitter(durable=True), try_number=2, max_tries=RECORD.max_tries)
    assert f"replyRef {LOST[-1].reference}" in str(error)
    assert posts(sim) == []
