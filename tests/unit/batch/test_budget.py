"""Budgets hold before the POST, also in the middle of a table."""

import dataclasses

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_pixverse.batch import budget
from airflow_pixverse.batch.__main__ import main
from airflow_pixverse.batch.budget import AccountFloor, CreditLimit
from airflow_pixverse.simulator import faults, service
from airflow_pixverse.submission import once
from tests.unit.batch.conftest import Batch, paid, posts, prompts, running
from tests.unit.journal.example import RECORD

A, B = "a@example.com", "b@example.com"
# A job costs 20 credits.
with_credits = pytest.mark.pixverse_simulator(accounts={A: 3, B: 3}, job_seconds=(0.1, 0.2), credits=1000)
pytestmark = [with_credits, pytest.mark.usefixtures("short_pauses")]


def costing(*costs):
    """Return records of jobs with these costs."""
    return [
        dataclasses.replace(RECORD, reference=f"run#{number}", cost_credits=cost)
        for number, cost in enumerate(costs)
    ]


def limit_of(max_credits, records):
    """Return the limit of a run that has these records."""
    limit = CreditLimit(max_credits, "run")
    for record in records:
        limit.add(record)
    return limit


def test_credit_limit_counts_a_submit_once_whatever_is_learned_of_it():
    limit = limit_of(100, costing(None))
    for cost in (None, 20, None):
        limit.add(dataclasses.replace(RECORD, reference="run#0", cost_credits=cost))
    assert limit.spent == 20


@pytest.mark.parametrize(
    ("changes", "spent"),
    [
        ({"state": "sending"}, 20),  # by a process that may have died
        ({"state": "not accepted"}, 0),
        ({"state": "unknown"}, 20),
        ({"state": "forgotten", "job_ids": ("job",), "cost_credits": 5}, 5),
        ({"state": "forgotten"}, 0),  # a person has found no job
        ({"reference": "another#1"}, 0),
    ],
)
def test_credit_limit_counts_what_may_be_paid_for_by_this_run(changes, spent):
    seen = costing(20)[0]
    record = dataclasses.replace(RECORD, **({"reference": "run#1"} | changes))
    assert limit_of(100, [seen, record]).spent == 20 + spent
    limit = limit_of(100, [seen, dataclasses.replace(record, state="sending"), record])
    assert limit.spent == 20 + spent


def test_max_credits_ends_a_run_in_the_middle_of_a_table_and_brings_home_what_runs(sim, batch):
    with pytest.raises(AirflowFailException, match=r"max_credits=90 is reached: this run has cost 80"):
        batch(prompts(*range(9)), max_credits=90)
    assert sorted(batch.statuses) == ["stored"] * 4 + ["waiting"] * 5
    assert len(posts(sim)) == 4
    assert "max_credits=90" in batch.xcoms["summary"]["stopped"]
    assert batch.xcoms["summary"]["cost_credits"] == 80


def test_max_credits_counts_what_earlier_tries_of_the_run_have_cost(sim, batch):
    for _ in range(2):
        with pytest.raises(AirflowFailException):
            batch(prompts(*range(9)), max_credits=40)
    assert len(posts(sim)) == 2


def test_max_credits_of_another_run_are_its_own(sim, batch):
    for run in ("run", "another"):
        with pytest.raises(AirflowFailException):
            batch(prompts(*range(9)), max_credits=40, run=run)
    assert len(posts(sim)) == 4


def test_max_credits_counts_rows_that_a_killed_try_was_sending(sim, batch):
    batch(prompts(0, 1, 2), max_credits=100)
    for record in [*batch.records("accepted")[1:], *batch.records("stored")[1:]]:
        record.unlink()
    (batch.folder / "campaign.csv").unlink()
    sim.inject(faults.slow(0.5), times=1, path="accounts")
    with pytest.raises(AirflowFailException, match="max_credits=60"):
        batch(prompts(*range(6)), max_credits=60, limits={"max_slots": 4})
    assert paid(sim) == ["cat 0", "cat 1", "cat 2"]


def test_max_credits_count_rows_that_another_try_of_the_run_has_made_meanwhile(sim, batch, monkeypatch):
    first = batch.new_run(prompts(*range(6)), max_credits=60)
    other = Batch(batch.folder)
    new_loop = first._new_loop

    def after_the_other(folder):
        other(prompts(0, 1, 2), max_credits=60)
        return new_loop(folder)

    monkeypatch.setattr(first, "_new_loop", after_the_other)
    with pytest.raises(AirflowFailException, match="max_credits=60 is reached"):
        first.run()
    assert len(posts(sim)) == 3


def test_max_credits_counts_jobs_that_were_forgotten(sim, batch):
    batch(prompts(0, 1, 2), max_credits=60)
    assert main(["forget", batch.folder.as_uri(), *(row.key for row in batch.rows), "--yes"]) == 0
    with pytest.raises(AirflowFailException, match="max_credits=60 is reached"):
        batch(prompts(0, 1, 2), max_credits=60)
    assert len(posts(sim)) == 3


@pytest.mark.pixverse_simulator(accounts={A: 3, B: 3}, job_seconds=(0.1, 0.2), credits=None)
def test_max_credits_that_cannot_be_held_stop_after_three_rows(sim, batch):
    sim.inject(faults.garbled("cost_credits", "missing"), times=None, method="POST")
    with pytest.raises(
        AirflowFailException, match="not known what 3 jobs of this run cost, so max_credits=1000"
    ):
        batch(prompts(*range(6)), max_credits=1000)
    assert len(paid(sim)) == 3


def test_min_credits_end_a_run_in_the_middle_of_a_table(sim, batch):
    sim.set_credits(A, 100)
    sim.set_credits(B, 70)
    with pytest.raises(AirflowFailException, match="would keep less than min_credits=50"):
        batch(prompts(*range(9)), min_credits=50)
    assert sorted(batch.statuses) == ["stored"] * 3 + ["waiting"] * 6
    assert sorted(job.payload["email"] for job in sim.submitted()) == [A, A, B]


@pytest.mark.pixverse_simulator(accounts={A: 3}, job_seconds=(0.1, 0.2), credits=100)
@pytest.mark.parametrize("is_lost", [False, True])
def test_min_credits_hold_where_no_cost_is_told(sim, batch, monkeypatch, is_lost):
    if is_lost:
        sim.inject(faults.lost_answer(), times=None, method="POST")
    else:
        monkeypatch.setattr(once, "known_credits", lambda _: None)
    with pytest.raises(AirflowFailException, match="would keep less than min_credits=50"):
        batch(prompts(*range(9)), min_credits=50)
    assert batch.statuses.count("stored") == 3  # 100, 80, 60, 40
    assert len(posts(sim)) == 3


@pytest.mark.pixverse_simulator(accounts={A: 3}, job_seconds=(0.1, 0.2), credits=1000)
def test_min_credits_count_a_submit_of_which_nobody_knows(sim, batch, monkeypatch):
    batch(prompts(0))  # whose cost is known to this run
    sim.set_credits(A, 100)
    sim.inject(faults.lost_request(code=200, body={}), times=2, method="POST")
    with pytest.raises(AirflowFailException, match="would keep less than min_credits=40"):
        batch(prompts(*range(9)), min_credits=40, limits={"max_slots": 1})
    assert batch.statuses.count("unknown") == 2
    assert len(posts(sim)) == 1 + 3


def test_row_whose_own_account_has_too_few_credits_ends_the_task_without_retry(sim, batch):
    sim.set_credits(A, 40)
    rows = [{"prompt": f"cat {number}", "who": who} for number, who in enumerate((A, B, B))]
    with pytest.raises(
        AirflowFailException, match=rf"1 waiting.*account {A} would keep less than min_credits"
    ):
        batch(rows, payload={"prompt": "{prompt}", "email": "{who}"}, min_credits=50)
    assert sorted(batch.statuses) == ["stored", "stored", "waiting"]
    assert paid(sim) == ["cat 1", "cat 2"]


def test_account_without_credits_leaves_the_rows_to_others(sim, batch):
    sim.set_credits(A, 0)
    assert batch(prompts(*range(5)))["made"] == 5
    assert {job.payload["email"] for job in sim.submitted()} == {B}


@pytest.mark.parametrize(
    ("costs", "in_flight", "allows", "stops"),
    [
        ([], 0, True, ""),
        ([], 1, False, ""),  # one row alone, until a cost is known
        ([None, None], 0, True, ""),  # their answers may have been lost
        ([None, None], 1, False, ""),
        ([None, None, None], 0, False, "not known what 3 jobs of this run cost"),
        ([20], 3, True, ""),  # 20 + 4 x 20
        ([20], 4, False, ""),  # one of them may yet be refused
        ([30, 20, 30], 0, False, "is reached"),  # 80 + 30
        ([30, 20, None], 0, False, "is reached"),  # the dearest counts
        ([20, 20, 20, 20], 0, True, ""),
    ],
)
def test_credit_limit_counts_what_is_paid_and_what_is_on_its_way(costs, in_flight, allows, stops):
    answer = limit_of(100, costing(*costs)).answer(in_flight)
    assert answer.allows is allows
    assert stops in answer.stops
    assert bool(answer.stops) is bool(stops)


def test_account_floor_reads_credits_again_after_a_minute():
    now, left, reads = 0.0, 100, []

    def read(email):
        reads.append(email)
        return left

    floor = AccountFloor(50, read, clock=lambda: now)
    assert floor.answer(A, 0, 20).allows
    floor.add(A, 40)
    assert "min_credits=50" in floor.answer(A, 0, 20).stops
    now, left = 61.0, 200
    assert floor.answer(A, 0, 20).allows
    assert reads == [A, A]


def test_account_floor_reads_credits_again_after_a_job_of_unknown_cost():
    left = 100
    floor = AccountFloor(50, lambda _: left, clock=lambda: 0.0)
    assert floor.answer(A, 0, None).allows
    floor.add(A, None)
    left = 40
    assert "min_credits=50" in floor.answer(A, 0, None).stops


def test_account_floor_reads_no_credits_while_rows_are_sent():
    """They may have the cost of those already, which would count twice."""
    now, reads = 0.0, []
    floor = AccountFloor(50, lambda email: reads.append(email) or 170, clock=lambda: now)
    assert floor.answer(A, 0, 20).allows
    now = 61.0
    assert floor.answer(A, 3, 20).allows
    assert reads == [A]
    assert floor.answer(A, 0, 20).allows
    assert reads == [A, A]


def test_account_floor_waits_where_credits_are_unknown():
    answer = AccountFloor(50, lambda _: None).answer(A, 0, 20)
    assert (answer.allows, answer.stops) == (False, "")


@pytest.mark.pixverse_simulator(accounts={A: 3}, job_seconds=(0.1, 0.2), credits=30)
def test_only_account_without_credits_ends_the_run(sim, batch):
    with pytest.raises(AirflowFailException, match="412"):
        batch(prompts(1, 2, 3))
    assert sorted(batch.statuses) == ["stored", "waiting", "waiting"]


@pytest.mark.pixverse_simulator(accounts={A: 3}, job_seconds=(0.1, 0.2), credits=30)
def test_row_whose_account_the_endpoint_chooses_is_refused_where_that_has_no_credits(sim, batch):
    rows = [{"video_id": str(number)} for number in range(3)]
    with pytest.raises(AirflowFailException, match="412"):
        batch(rows, payload={"video_id": "{video_id}"}, plan={"endpoint": "videos/upscale"})
    assert sorted(batch.statuses) == ["refused", "refused", "stored"]
    assert len([one for one in sim.requests if one.method == "POST"]) == 3


def test_credits_that_cannot_be_read_end_the_run_and_a_retry_may_follow(sim, batch, monkeypatch):
    monkeypatch.setattr(budget, "_CREDITS_LAST", 0.0)
    sim.inject(faults.status(503), times=None, path="features/")
    with pytest.raises(AirflowException, match="cannot be read, so min_credits cannot") as raised:
        batch(prompts(1, 2, 3), min_credits=10)
    assert not isinstance(raised.value, AirflowFailException)
    assert posts(sim) == []
    assert sum("features" in one.path for one in sim.requests) <= 2 * 10 + 2


@pytest.mark.pixverse_simulator(accounts={A: 1}, job_seconds=(0.1, 0.2), credits=100)
def test_job_that_costs_nothing_takes_nothing_from_what_an_account_keeps(sim, batch, monkeypatch):
    run = batch.new_run(prompts(*range(4)), min_credits=50)
    with running(run) as future:
        sim.wait_for_submitted(1)
        monkeypatch.setattr(service, "JOB_CREDITS", 0)
        assert future.result()["made"] == 4
