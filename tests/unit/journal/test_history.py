"""The earlier submissions of a task that count for a try which is about to submit."""

from dataclasses import replace

import pytest

from airflow_pixverse.journal import SubmitHistory, TaskTry
from tests.unit.journal.example import RECORD

TRY = TaskTry("dag", "run", "task", -1, try_number=2, max_tries=3)
ACCEPTED = replace(RECORD, state="accepted", job_ids=("101",))
BEFORE_A_CLEAR = 0


def history(*records, on_clear="resume", not_accepted=()):
    return SubmitHistory.of(records, TRY, on_clear, not_accepted)


@pytest.mark.parametrize("state", ["accepted", "failed", "moderated", "cancelled"])
def test_a_job_of_this_generation_is_picked_up_however_it_has_ended(state):
    job = replace(ACCEPTED, state=state)
    assert history(job).to_pick_up == [job]


@pytest.mark.parametrize("state", ["failed", "moderated", "cancelled"])
def test_a_job_that_has_ended_without_a_result_is_not_taken_up_after_a_clear(state):
    assert history(replace(ACCEPTED, state=state, max_tries=BEFORE_A_CLEAR)).to_pick_up == []


def test_a_job_that_is_accepted_is_taken_up_after_a_clear_unless_the_user_wants_a_new_one():
    job = replace(ACCEPTED, max_tries=BEFORE_A_CLEAR)
    assert history(job).to_pick_up == [job]
    assert history(job).is_cleared(job)
    assert history(job, on_clear="submit").to_pick_up == []


def test_an_accepted_job_comes_before_those_that_are_being_sent_the_newest_of_which_comes_first():
    second, third = (
        replace(RECORD, reference=f"r#{n}", sent_at=f"2026-0{n}-01T00:00:00+00:00") for n in (2, 3)
    )
    assert history(second, ACCEPTED, third).to_pick_up == [ACCEPTED, third, second]


def test_of_several_jobs_the_latest_counts():
    later = replace(ACCEPTED, reference="r#2", sent_at="2026-02-01T00:00:00+00:00")
    assert history(later, ACCEPTED).to_pick_up == [later]


def test_a_submission_that_another_try_has_settled_is_not_unsettled():
    assert history(RECORD).unsettled == [RECORD]
    assert history(RECORD, replace(RECORD, try_number=2, state="not accepted")).unsettled == []


def test_a_submission_that_is_known_to_be_not_accepted_does_not_count_whatever_its_record_says():
    assert history(RECORD, not_accepted=[RECORD.reference]).to_pick_up == []
