"""Slots of a batch: how many it takes, of which accounts, and what it does where none is to be had."""

import dataclasses

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_pixverse.api.errors import PixverseAuthError, PixverseNoResultError, PixverseTransientError
from airflow_pixverse.batch.following import Following
from airflow_pixverse.batch.looks import SharedLooks
from airflow_pixverse.batch.room import Limits
from airflow_pixverse.batch.rows import Row
from airflow_pixverse.batch.submitting import Submitting
from airflow_pixverse.simulator import faults
from tests.unit.batch.conftest import kill_after, paid, posts, prompts, running
from tests.unit.journal.example import RECORD

pytestmark = pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.4))


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 3, "b@example.com": 3}, job_seconds=(0.3, 0.3))
def test_max_slots_and_keep_free_bound_what_runs_at_once(sim, batch):
    most = 0

    def count():
        nonlocal most
        most = max(most, 6 - sim.free())

    run = batch.new_run(prompts(*range(8)), limits={"max_slots": 4, "keep_free": 3})
    with running(run) as future:
        while not future.done():
            count()
    assert future.result()["made"] == 8
    assert most <= 3


def test_row_of_several_images_takes_a_slot_for_each():
    following = Following(None, None, poke_interval=1.0, completion_timeout=60.0, reconnect=None)
    row, other = Row({1: {}}), Row({2: {}})
    following.add(row, dataclasses.replace(RECORD, job_ids=("1", "2", "3"), email="a@example.com"))
    following.add(other, dataclasses.replace(RECORD, job_ids=("4",), email=None))
    assert following.running == 4
    assert following.unseen(0.0) == ["a@example.com"] * 3 + [""]
    following.rows[row].jobs[0].error = PixverseNoResultError("it failed")
    assert following.running == 3


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 2, "b@example.com": 2})
def test_rows_are_spread_over_the_accounts(sim, batch):
    batch(prompts(1, 2))
    assert {job.payload["email"] for job in sim.submitted()} == {"a@example.com", "b@example.com"}


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 2, "b@example.com": 2}, job_seconds=(0.1, 0.1))
def test_only_chosen_accounts_are_used(sim, batch):
    batch(prompts(*range(5)), plan={"emails": ["B@example.com"]}, limits={"emails": ["B@example.com"]})
    assert {job.payload["email"] for job in sim.submitted()} == {"b@example.com"}


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 2, "b@example.com": 2}, job_seconds=(0.1, 0.1))
@pytest.mark.parametrize(
    ("emails", "min_credits", "is_named"),
    [(None, None, False), (["a@example.com"], None, True), (None, 0, True)],
)
def test_endpoint_that_takes_no_account_gets_none_unless_one_is_asked_for(
    sim, batch, emails, min_credits, is_named
):
    rows = [{"video_id": str(number)} for number in range(6)]
    batch(
        rows,
        payload={"video_id": "{video_id}"},
        plan={"endpoint": "videos/upscale", "emails": emails},
        limits={"emails": emails},
        min_credits=min_credits,
    )
    assert ["email" in job.payload for job in sim.submitted()] == [is_named] * 6


@pytest.mark.parametrize("slots", [1, 2])
def test_prompt_that_is_refused_each_time_keeps_no_other_row_from_being_sent(sim, batch, short_pauses, slots):
    sim.set_fate("cat 0", "busy")
    with pytest.raises(AirflowException, match="refused 3 times in a row"):
        batch(prompts(*range(4)), limits={"max_slots": slots, "max_refusals": 2})
    assert batch.statuses == ["waiting", "stored", "stored", "stored"]


def test_refusal_pauses_all_rows_and_loses_none(sim, batch, short_pauses):
    sim.inject(faults.rate_limit(), times=3, method="POST")
    assert batch(prompts(*range(6)))["made"] == 6
    assert len(posts(sim)) == 9


def test_more_refusals_in_a_row_than_allowed_leave_the_rest_to_a_retry(sim, batch, short_pauses):
    sim.inject(faults.rate_limit(), times=None, method="POST")
    with pytest.raises(AirflowException, match=r"refused 3 times in a row.*A retry goes on") as raised:
        batch(prompts(1), limits={"max_refusals": 2})
    assert not isinstance(raised.value, AirflowFailException)
    assert batch.statuses == ["waiting"]


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 6})
def test_refusals_of_one_round_count_once(sim, batch, short_pauses):
    sim.inject(faults.rate_limit(), times=12, method="POST")
    assert batch(prompts(*range(6)), limits={"max_refusals": 5})["made"] == 6


def test_trouble_with_the_list_delays_a_batch_only(sim, batch, short_pauses):
    sim.inject(faults.status(503), times=2, path="scheduler/available")
    assert batch(prompts(1))["made"] == 1


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("code", [401, 403])
def test_submit_that_is_denied_once_is_sent_again(sim, batch, code):
    sim.inject(faults.status(code), times=1, method="POST")
    assert batch(prompts(*range(4)), limits={"max_slots": 1})["made"] == 4


def test_row_that_is_denied_where_others_are_accepted_is_refused_alone(sim, batch, short_pauses, monkeypatch):
    submit = SharedLooks.submit

    def deny(looks, endpoint, payload):
        if payload["prompt"] == "cat 1":
            raise PixverseAuthError("403 Forbidden", status=403)
        return submit(looks, endpoint, payload)

    monkeypatch.setattr(SharedLooks, "submit", deny)
    with pytest.raises(AirflowFailException, match="403 Forbidden"):
        batch(prompts(*range(4)), limits={"max_slots": 1})
    assert batch.statuses == ["stored", "refused", "stored", "stored"]


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 2}, job_seconds=(0.1, 0.1))
def test_row_that_is_denied_once_after_later_rows_were_accepted_is_sent_again(sim, batch, monkeypatch):
    submit, denied = SharedLooks.submit, []

    def deny_once(looks, endpoint, payload):
        if payload["prompt"] == "cat 0" and not denied:
            sim.wait_for_submitted(4, timeout=60)
            denied.append(payload)
            raise PixverseAuthError("401 Unauthorized", status=401)
        return submit(looks, endpoint, payload)

    monkeypatch.setattr(SharedLooks, "submit", deny_once)
    assert batch(prompts(*range(6)))["made"] == 6
    assert denied


def test_trouble_of_rows_that_were_sent_before_it_was_known_counts_once():
    parts = dict.fromkeys(["credit_limit", "floor", "follow", "reconnect"])
    submitting = Submitting(None, None, Limits(), prefix="", remake=(), **parts)
    rows = [Row({number: {}}) for number in range(3)]
    for submitting._round, row in enumerate(rows, 1):
        submitting._sent_in[row] = submitting._round
    for row in rows:
        submitting._pause_all(row, PixverseTransientError("503"))
    assert submitting._setbacks == 1


def test_refused_token_leaves_the_rest_to_a_retry(sim, batch):
    sim.inject(faults.status(401), times=None, method="POST")
    with pytest.raises(AirflowException, match="No more rows were submitted") as raised:
        batch(prompts(1, 2))
    assert not isinstance(raised.value, AirflowFailException)
    assert paid(sim) == []


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 2})
def test_slots_that_are_never_free_are_warned_of_once(sim, batch, caplog):
    run = batch.new_run(prompts(1), limits={"keep_free": 2})
    kill_after(lambda: sim.wait_for_requests(4), run)
    assert caplog.text.count("The chosen accounts run 2 jobs at once: 3 slots are never free together") == 1


def test_account_of_a_row_that_is_not_listed_is_warned_of(sim, batch, caplog):
    rows = [{"prompt": "a", "who": "typo@example.com"}]
    run = batch.new_run(rows, payload={"prompt": "{prompt}", "email": "{who}"})
    kill_after(lambda: sim.wait_for_requests(4), run)
    assert caplog.text.count("The API lists no account typo@example.com") == 1
