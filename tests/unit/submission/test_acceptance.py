"""From the request of a task to a job that the service has accepted, once."""

from dataclasses import replace

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.journal import RecordNotWrittenError
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission import flow, lost_jobs
from airflow_pixverse.submission.lost_jobs import LookTiming
from airflow_pixverse.triggers.job import PixverseJobTrigger
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from airflow_pixverse.triggers.release import PixverseReleaseTrigger
from tests.helpers.submit_parts import MemoryJournal, admitted, end_of_part, submitter, told
from tests.helpers.submits import WITHIN, elsewhere, posts
from tests.helpers.trigger_runs import payload_of
from tests.unit.journal.example import RECORD

A, B = "a@example.com", "b@example.com"
pytestmark = [
    pytest.mark.pixverse_simulator(accounts={A: 1, B: 3}, job_seconds=(600, 600)),
    pytest.mark.usefixtures("sim"),
]

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


def fill(sim, email):
    """Let other jobs take all slots of an account."""
    return [sim.start_job(email) for _ in range(sim.free(email))]


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


def test_submit_that_got_lost_counts_although_the_journal_is_told_only_later(sim, journal_of, monkeypatch):
    """So a retry knows of it: what gets lost after it is unknown."""
    journal = journal_of()
    monkeypatch.setattr(lost_jobs, "TIMING", LookTiming(look_for=0.1, every=0.01))
    sim.inject(faults.lost_request(), method="POST")
    write = journal.write

    def fail(record):
        if record.state == "not accepted":
            raise RecordNotWrittenError("the API server is away")
        write(record)

    journal.write = fail
    task = submitter(durable=True)
    trigger = end_of_part(task, admitted(A))
    [record] = journal.read_all()
    assert (record.state, record.was_lost) == ("sending", False)
    journal.write = write
    sim.inject(faults.rate_limit(), method="POST")
    end_of_part(task, admitted(A, random_part="next") | {"state": trigger.serialize()[1]["state"]})
    [record, _] = journal.read_all()
    assert (record.state, record.was_lost) == ("not accepted", True)


# A slot that is not used


def give_back(task, event=None):
    """Let a part of a task fail that has a slot; return what the task ends with once the gate knows."""
    trigger = end_of_part(task, event or admitted(A))
    assert isinstance(trigger, PixverseReleaseTrigger)
    assert told(trigger) == "released"
    return end_of_part(task, payload_of(trigger))


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"reply_ref": "two\nlines"}, AirflowFailException, "reply_ref must be"),
        ({"output_path": "file:///proc/nowhere"}, AirflowException, "file:///proc/nowhere cannot be written"),
        ({"pixverse_conn_id": "none"}, AirflowFailException, "none"),
        ({"max_refusals": 0}, AirflowException, "refused once"),
    ],
    ids=["a bad value", "a folder", "no connection", "refused too often"],
)
def test_task_that_fails_with_a_slot_gives_it_back_and_fails_as_ever(sim, changed, kind, words):
    sim.inject(faults.rate_limit(), times=None, method="POST")
    task = submitter(output_path="file:///tmp")
    for name, value in changed.items():
        setattr(task, name, value)
    error = give_back(task)
    assert type(error) is kind
    assert words in str(error)


def test_journal_that_cannot_be_written_gives_the_slot_back_and_leaves_it_to_a_retry(sim, journal_of):
    def fail(record):
        raise RecordNotWrittenError("the API server is away")

    journal_of().write = fail
    error = give_back(submitter(durable=True))
    assert (type(error), str(error)) == (AirflowException, "the API server is away")
    assert posts(sim) == []


@pytest.mark.parametrize(
    ("raised", "kind", "text"),
    [
        (KeyError("prompt"), AirflowException, "KeyError: 'prompt'"),
        (ValueError("no\0 table"), AirflowException, "ValueError: no table"),
        (AirflowException("no table"), AirflowException, "no table"),
        (AirflowFailException("no table"), AirflowFailException, "no table"),
        (AirflowFailException(), AirflowFailException, "AirflowFailException: "),
    ],
    ids=["KeyError", "ValueError", "own error", "own final error", "no message"],
)
def test_error_of_the_function_of_a_user_ends_the_task_as_it_says(monkeypatch, raised, kind, text):
    def fail(*_):
        raise raised

    monkeypatch.setattr(PixverseSubmitOperator, "_payload", fail)
    error = give_back(submitter())
    assert (type(error), str(error)) == (kind, text)


@pytest.mark.parametrize("kind", [AirflowSkipException, AirflowTaskTimeout])
def test_end_that_only_airflow_knows_is_left_to_it(monkeypatch, kind):
    def end(*_):
        raise kind("enough")

    monkeypatch.setattr(PixverseSubmitOperator, "_payload", end)
    with pytest.raises(kind):
        raise end_of_part(submitter(), admitted(A))


def test_slot_of_a_job_that_may_be_there_is_kept(sim, journal_of, monkeypatch):
    journal_of()
    monkeypatch.setattr(lost_jobs, "TIMING", LookTiming(look_for=0.1, every=0.01))
    sim.inject(faults.lost_request(), times=None, method="POST")
    error = end_of_part(submitter(durable=True, endpoint="music/create"), admitted(A))
    assert isinstance(error, AirflowFailException)
    assert "It cannot be known" in str(error)


def test_ids_of_jobs_are_pushed_as_soon_as_they_are_known(sim):
    xcoms = {}
    end_of_part(submitter(), admitted(A), xcoms=xcoms)
    assert xcoms == {"job_ids": [job.id for job in sim.submitted()]}


@pytest.mark.parametrize(
    ("max_tries", "submits"), [(RECORD.max_tries, 0), (RECORD.max_tries + 1, 1)], ids=["retry", "clear"]
)
def test_mapped_task_that_came_to_mean_another_item_submits_that_once_it_is_cleared(
    sim, journal_of, monkeypatch, max_tries, submits
):
    journal_of(replace(RECORD, state="accepted", job_ids=("one",), item="another"))
    monkeypatch.setattr(PixverseSubmitOperator, "_mapped_values", lambda _: "this one")
    end = end_of_part(submitter(durable=True), admitted(A), try_number=2, max_tries=max_tries, map_index=0)
    assert len(posts(sim)) == submits
    if submits:
        assert told(end) == "accepted"
    else:
        assert "Clear this task to submit, and pay for, the item" in str(end)


# The account that a slot is of


@pytest.mark.parametrize("endpoint", ["videos/create", "videos/create-v4/", "images/create", "music/create"])
def test_job_is_sent_to_the_account_whose_slot_is_kept_for_it(sim, endpoint):
    assert told(end_of_part(submitter(endpoint=endpoint), admitted(A, B))) == "accepted"
    assert [job.payload["email"] for job in sim.submitted()] == [A]


def test_slot_of_another_account_is_that_of_another_task(sim):
    fill(sim, A)
    assert told(end_of_part(submitter(), admitted(A))) == "released"
    assert posts(sim) == []


def test_endpoint_that_takes_no_email_is_sent_none(sim):
    fill(sim, A)
    assert told(end_of_part(submitter(endpoint="videos/upscale"), admitted(A))) == "accepted"
    assert "email" not in sim.submitted()[0].payload


# An account that takes no job


@pytest.fixture(params=["no credits", "an error"])
def bar(sim, request):
    """A function that lets an account take no job."""
    return (lambda email: sim.set_credits(email, 0)) if request.param == "no credits" else (
        lambda email: sim.set_pending_error(email, "the password has changed")
    )  # fmt: skip


@pytest.mark.parametrize("emails", [None, [A, B]], ids=["any", "chosen"])
def test_account_that_takes_no_job_is_left_for_those_that_may(sim, bar, emails):
    bar(A)
    task = submitter(emails=emails)
    waiting = end_of_part(task, admitted(A))
    assert isinstance(waiting, PixverseCapacityTrigger)
    assert (waiting.serialize()[1]["emails"], told(waiting)) == ([B], "released")
    state = waiting.serialize()[1]["state"]
    assert told(end_of_part(task, admitted(B) | {"state": state})) == "accepted"
    assert [job.email for job in sim.submitted()] == [B]


def test_accounts_that_take_no_job_are_each_tried_once(sim, bar):
    bar(A)
    bar(B)
    task = submitter()
    state = end_of_part(task, admitted(A)).serialize()[1]["state"]
    error = give_back(task, admitted(B) | {"state": state})
    assert isinstance(error, AirflowFailException)
    assert len(posts(sim)) == 2


def test_refusal_of_the_other_account_keeps_the_first_one_out(sim, bar):
    bar(A)
    task = submitter()
    state = end_of_part(task, admitted(A)).serialize()[1]["state"]
    sim.inject(faults.rate_limit(), method="POST")
    waiting = end_of_part(task, admitted(B) | {"state": state})
    assert waiting.serialize()[1]["emails"] == [B]


@pytest.mark.parametrize("changed", [{"emails": A}, {"endpoint": "videos/upscale"}], ids=["chosen", "none"])
def test_only_account_that_takes_no_job_fails_the_task(bar, changed):
    bar(A)
    bar(B)
    assert isinstance(give_back(submitter(**changed)), AirflowFailException)


# The credits that an account keeps


def test_both_waits_poll_every_five_seconds_by_default():
    for trigger in (end_of_part(submitter()), end_of_part(submitter(), admitted(A))):
        assert trigger.serialize()[1]["poke_interval"] == 5


@pytest.mark.parametrize(("ahead", "is_told"), [([], True), (None, False)], ids=["early", "usual"])
def test_task_that_was_let_through_early_tells_how_long_it_has_looked_for_its_slot(ahead, is_told):
    trigger = end_of_part(submitter(), admitted(A, ahead=ahead))
    assert isinstance(trigger, PixverseJobTrigger)
    update = trigger.serialize()[1]["lease_update"]
    assert update["update"] == "accepted"
    assert ("looked" in update) is is_told
    assert 0 <= update.get("looked", 0) < 60


@pytest.fixture
def poor_and_rich(sim):
    """The credits of the two accounts, of which B has more than 100."""
    sim.set_credits(A, 100)
    sim.set_credits(B, 101)


@pytest.mark.usefixtures("poor_and_rich")
@pytest.mark.parametrize("emails", [None, [A, B]], ids=["any", "chosen"])
@pytest.mark.parametrize(
    "event", [admitted(A), admitted(A, B), admitted(A, ahead=[])], ids=["one", "both", "early"]
)
def test_slot_of_a_poor_account_is_given_back_and_one_of_a_rich_account_is_waited_for(sim, event, emails):
    """Also where the rich one has slots: the gate has given these to other tasks."""
    trigger = end_of_part(submitter(min_credits=100, emails=emails), event)
    assert isinstance(trigger, PixverseCapacityTrigger)
    assert (trigger.emails, told(trigger)) == ([B], "released")
    assert trigger.serialize()[1]["first_poll_at"] is None, "no pause: nothing was refused"
    assert posts(sim) == []


@pytest.mark.usefixtures("poor_and_rich")
def test_slot_that_was_waited_for_at_a_rich_account_is_used(sim):
    trigger = end_of_part(submitter(min_credits=100), admitted(B))
    assert told(trigger) == "accepted"
    assert [job.email for job in sim.submitted()] == [B]


def test_account_with_enough_credits_whose_slot_is_taken_gets_no_submit(sim):
    sim.set_credits(A, 101)
    fill(sim, A)
    trigger = end_of_part(submitter(min_credits=100), admitted(A))
    assert (trigger.emails, told(trigger)) == (None, "released")
    assert posts(sim) == []


@pytest.mark.usefixtures("poor_and_rich")
def test_worker_waits_for_a_slot_of_the_rich_account(sim):
    first, *_ = fill(sim, B)

    def end_one():
        sim.wait_for_requests(6, WITHIN)
        sim.end_job(first)

    task = submitter(min_credits=100, deferrable=False, wait_for_completion=False, poke_interval=0.05)
    with elsewhere(end_one):
        assert end_of_part(task)["email"] == B
    assert len(posts(sim)) == 1


def test_credits_that_cannot_be_read_are_no_reason_to_fail_for_good(sim):
    sim.inject(faults.status(503), times=None, path="features/")
    trigger = end_of_part(submitter(min_credits=100), admitted(A))
    assert (trigger.emails, told(trigger)) == (None, "released")
    error = end_of_part(submitter(min_credits=100, wait_for_capacity=False), try_number=2)
    assert isinstance(error, PixverseTransientError)
