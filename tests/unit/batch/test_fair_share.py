"""Fair shares: a batch takes turns with the DAGs whose jobs it sees, and leaves nothing unused for long."""

import math
from collections import Counter, deque
from unittest.mock import Mock, call

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_pixverse.api import reply_ref
from airflow_pixverse.api.scheduler import Capacity
from airflow_pixverse.batch import fair_share
from airflow_pixverse.batch.fair_share import FairShares
from airflow_pixverse.batch.room import Limits
from airflow_pixverse.batch.rows import Row
from airflow_pixverse.batch.submitting import Submitting
from tests.unit.batch.conftest import prompts, running
from tests.unit.batch.contest import EMAIL, Batch, Clock, Service, Waits, job, prefix

OWN = prefix("dag", task="campaign")
ANOTHER = prefix("another", index=3)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(fair_share, "time", clock)
    return clock


@pytest.fixture
def shares(clock):
    return FairShares(OWN, None)


def take(shares, free, email=EMAIL):
    """Take the slots that are the batch's, and return how many."""
    mine = shares.take_turns(Counter({email: free} if free else {}))[email]
    for _ in range(mine):
        shares.record_sent(email)
        shares.record_accepted(email, ["a job"])
    return mine


def test_batch_that_is_alone_takes_all_slots(shares):
    shares.see([])
    assert [take(shares, n) for n in (5, 1, 3)] == [5, 1, 3]
    assert not shares.is_shared


def test_batch_that_is_alone_offers_a_slot_for_forty_seconds_in_each_ten_minutes(shares, clock):
    taken = []
    for clock.now in (599, 600, 602, 639, 640, 642, 1239, 1240, 1242):
        taken.append(take(shares, 3))
    assert taken == [3, 2, 2, 2, 3, 3, 3, 2, 2]


def test_batch_that_has_had_no_slot_offers_none(shares, clock):
    """Another batch may have left the slot that it sees."""
    shares.record_sent(EMAIL)
    shares.record_not_accepted(EMAIL)
    clock.now = 700
    assert take(shares, 1) == 1


def test_slot_that_was_left_is_not_left_again_once_another_has_it(shares, clock):
    assert take(shares, 1) == 1
    clock.now = 600
    assert take(shares, 1) == 0
    shares.see([job(ANOTHER)])
    assert take(shares, 0) == 0
    assert take(shares, 1) == 1
    assert take(shares, 1) == 0, "the next one is the other's"


def test_dag_whose_jobs_start_gets_every_other_slot(shares):
    jobs = [job(ANOTHER)]
    taken = []
    for _ in range(6):
        shares.see(jobs)
        taken.append(take(shares, 1))
        if not taken[-1]:
            jobs.append(job(ANOTHER))
    assert taken == [1, 0, 1, 0, 1, 0]
    assert shares.is_shared


@pytest.mark.parametrize("free", [1, 2, 5, 8])
def test_several_free_slots_are_shared_at_once(shares, free):
    shares.see([job(ANOTHER), job(prefix("third"))])
    assert take(shares, free) == -(-free // 3)


@pytest.mark.parametrize(
    "of",
    [
        prefix("dag", task="another_task"),
        prefix("dag", task="campaign", run="another run"),
        prefix("dag", task="campaign", index=2),
        prefix("another", run="x" * 2000),
        "a reply_ref of the user's",
    ],
)
def test_each_other_task_of_this_package_counts(shares, of):
    shares.see([job(of)])
    assert take(shares, 2) == 1


@pytest.mark.parametrize("of", [OWN, OWN.upper(), None])
def test_neither_the_batch_itself_nor_jobs_without_a_reference_count(shares, of):
    shares.see([job(of)])
    assert take(shares, 2) == 2


@pytest.mark.parametrize("reference", ["order#42", "https://example.com/hook#video", "#", "x#" + "y" * 17])
def test_references_of_other_programs_do_not_count(shares, reference):
    shares.see([job(None).model_copy(update={"reply_ref": reference})])
    assert take(shares, 2) == 2


def test_log_says_why_the_batch_leaves_slots(shares, clock, caplog):
    caplog.set_level("INFO")
    shares.see([job(ANOTHER)])
    shares.see([job(ANOTHER), job(prefix("third"))])
    take(shares, 1)
    clock.now = 600
    take(shares, 1)
    assert caplog.messages == [
        "Taking turns with another, which submits jobs, too",
        "Taking turns with third, which submits jobs, too",
        "Leaving a slot for up to 40 s, as another task may wait",
    ]


def test_each_account_has_turns_of_its_own(shares):
    shares.see([job(ANOTHER, "B@example.com")])
    assert take(shares, 2) == 2
    assert take(shares, 2, "b@example.com") == 1


def test_account_that_the_batch_may_not_use_does_not_count(clock):
    shares = FairShares(OWN, ["A@example.com"])
    shares.see([job(ANOTHER, "b@example.com")])
    assert not shares.is_shared
    shares.see([job(ANOTHER)])
    assert shares.is_shared


def test_each_job_of_a_row_has_a_slot(shares):
    shares.see([job(ANOTHER)])
    shares.record_sent(EMAIL)
    shares.record_accepted(EMAIL, [f"user:1-pixverse:{EMAIL}-image:{number}" for number in range(3)])
    assert take(shares, 4) == 1
    assert take(shares, 3) == 0


def test_row_counts_where_its_job_is(shares):
    shares.see([job(ANOTHER), job(ANOTHER, "b@example.com")])
    shares.record_sent(EMAIL)
    shares.record_accepted(EMAIL, ["user:1-pixverse:b@example.com-video:1"])
    assert take(shares, 1, "b@example.com") == 0
    assert take(shares, 1) == 1


def test_row_that_is_not_accepted_gives_its_turn_back(shares):
    shares.see([job(ANOTHER)])
    assert shares.take_turns(Counter({EMAIL: 1}))[EMAIL] == 1
    shares.record_sent(EMAIL)
    assert shares.take_turns(Counter({EMAIL: 1}))[EMAIL] == 0
    shares.record_not_accepted(EMAIL)
    assert shares.take_turns(Counter({EMAIL: 1}))[EMAIL] == 1


def test_slot_that_stays_free_is_taken_and_what_others_have_is_all_that_they_want(shares, clock):
    theirs = job(ANOTHER)
    shares.see([theirs])
    assert take(shares, 2) == 1
    clock.now = 19
    shares.see([theirs])
    assert take(shares, 1) == 0
    clock.now = 20
    assert take(shares, 1) == 1
    assert not shares.is_shared
    assert take(shares, 2) == 2
    shares.see([])
    assert take(shares, 1) == 0, "its slot is left to it again"
    shares.see([job(ANOTHER)])
    assert take(shares, 1) == 1


def test_time_of_a_slot_begins_anew_once_another_has_had_it(shares, clock):
    theirs = job(ANOTHER)
    shares.see([theirs])
    assert take(shares, 1) == 1
    shares.record_sent(EMAIL)
    assert take(shares, 1) == 0
    clock.now = 15
    shares.see([theirs, job(ANOTHER)])
    assert take(shares, 1) == 0
    clock.now = 34
    assert take(shares, 1) == 0
    clock.now = 35
    assert take(shares, 1) == 1


def test_dag_that_had_all_that_it_wants_counts_again_after_ten_minutes(shares, clock):
    theirs = job(ANOTHER)
    for clock.now, mine in ((0, 2), (20, 4), (619, 4), (620, 2)):
        shares.see([theirs])
        assert take(shares, 4) == mine


def test_batch_that_has_had_no_slot_since_its_last_offer_makes_none(shares, clock):
    assert take(shares, 1) == 1
    clock.now = 600
    assert take(shares, 1) == 0
    shares.see([job(ANOTHER)])
    clock.now = 1200
    shares.see([])
    assert take(shares, 1) == 1


def test_turn_that_is_given_back_is_owed_to_the_batch_no_more_than_once(shares):
    shares.see([job(ANOTHER)])
    shares.record_sent(EMAIL)
    shares.see([job(ANOTHER)])
    shares.record_not_accepted(EMAIL)
    assert take(shares, 2) == 1


def test_pause_of_the_batch_says_nothing_of_what_others_want(shares, clock):
    shares.see([job(ANOTHER)])
    assert take(shares, 2) == 1
    clock.now = 5
    shares.take_turns(Counter())
    clock.now = 25
    assert take(shares, 1) == 0


def test_batch_counts_no_turns_by_a_look_in_a_pause_or_without_a_list_of_jobs():
    parts = dict.fromkeys(["credit_limit", "floor", "follow", "reconnect"])
    submitting = Submitting(None, None, Limits(), prefix=OWN, remake=(), **parts)
    submitting.take_up(Row({1: {}}))
    submitting._paused_until = math.inf
    calls = submitting._shares = Mock()
    for answer in ({"executing": None, "available": []}, {"executing": [], "available": []}):
        submitting.submit(Capacity.model_validate(answer), [], 0)
    assert calls.mock_calls == [call.take_turns(Counter()), call.see([]), call.take_turns(Counter())]


def test_dag_whose_jobs_are_gone_for_a_minute_is_forgotten(shares, clock):
    shares.see([job(ANOTHER)])
    take(shares, 1)
    for clock.now, is_shared in ((60, True), (61, False)):
        shares.see([])
        assert shares.is_shared is is_shared


SLOTS = st.integers(1, 8)
DURATIONS = st.lists(st.floats(10, 90), min_size=1, max_size=5)


@settings(deadline=None, max_examples=40)
@given(slots=SLOTS, durations=DURATIONS, delay=st.floats(1, 15), begins=st.integers(0, 700))
def test_two_dags_with_work_get_like_shares(slots, durations, delay, begins):
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(fair_share, "time", clock)
        service, batch, waits = Service(clock, slots, durations), Batch("own"), Waits("theirs", delay)
        deque(service.run(begins, [batch]), 0)
        for _ in service.run(600 + 50 + 2 * max(durations), [batch, waits]):
            if service.starts["theirs"]:
                break
        assert service.starts["theirs"], "it waits for ten minutes, an offer and a job at most"
        service.starts.clear()
        deque(service.run(1800, [batch, waits]), 0)
        total = service.starts.total()
        assert service.starts["theirs"] >= 0.35 * total - slots
        # Waits leave no slot to the batch: if they come first, they have it although it is the batch's turn.
        assert service.starts["own"] >= 0.15 * total - slots
        waits.is_over = True
        for _ in service.run(600, [batch, waits]):
            assert clock.now - service.taken_at <= 53, "a slot is left for forty seconds, between two looks"


@settings(deadline=None, max_examples=30)
@given(slots=st.integers(2, 8), durations=st.lists(st.floats(20, 90), min_size=1), delay=st.floats(0.5, 15))
def test_dag_that_makes_one_job_after_the_other_does_not_keep_slots_free(slots, durations, delay):
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(fair_share, "time", clock)
        service, batch = Service(clock, slots, durations), Batch("own")
        free = 0
        for _ in service.run(1800, [batch, Waits("theirs", delay, most=1)]):
            free += service.free * 0.5
        # Half of one slot is free while their next job is on its way, and a quarter of each between looks.
        assert free <= (0.5 + 0.25 * slots) * 1800


def test_slot_that_is_offered_is_there_when_a_slow_worker_comes(clock):
    service, batch, waits = Service(clock, 4, [60.0]), Batch("own"), Waits("theirs", 35.0)
    deque(service.run(800, [batch, waits]), 0)
    assert service.starts["theirs"]


@pytest.mark.parametrize(
    "others",
    [
        [Waits("gone", 4.0, most=0)],
        [Batch("second")],
        [Batch("second", prefix("own", task="campaign", index=2))],
        [Batch("second"), Batch("third", prefix("own", task="campaign", index=2))],
    ],
    ids=["a DAG", "another batch", "another instance", "both"],
)
def test_wait_at_a_gate_gets_its_share_whoever_else_has_batches(clock, others):
    service, waits = Service(clock, 4, [20.0]), Waits("theirs", 4.0)
    batches = [Batch("own"), *(Batch(one.name, one.prefix) for one in others if isinstance(one, Batch))]
    deque(service.run(60, batches), 0)
    deque(service.run(3600, [*batches, waits]), 0)
    fair = service.starts.total() / (len(batches) + 1)
    assert all(0.6 * fair <= started <= 1.5 * fair for started in service.starts.values()), service.starts


@pytest.mark.pixverse_simulator(accounts={EMAIL: 2}, job_seconds=(3600, 3600))
def test_batch_leaves_a_free_slot_to_a_dag_that_submits_and_takes_the_next(sim, batch, monkeypatch):
    def another_submits():
        sim.start_job(reply_ref=reply_ref.join(ANOTHER, reply_ref.new_random_part()))

    def looks():
        return sum(one.path.endswith("scheduler/available") for one in sim.requests)

    def wait_for_looks():
        """Wait until the batch has seen the service as it is now, and has done what follows."""
        seen = looks()
        while looks() < seen + 3:
            sim.wait_for_requests(sim.request_count + 1)

    monkeypatch.setattr(fair_share, "_OWED_FOR", 3600)
    another_submits()
    with running(batch.new_run(prompts(*range(4)))) as run:
        sim.wait_for_submitted(1)
        sim.end_job(sim.submitted()[0].id)
        wait_for_looks()
        assert sim.submitted_count == 1, "it is the other's turn"
        another_submits()
        wait_for_looks()
        sim.end_all_jobs()
        sim.wait_for_submitted(2)
        wait_for_looks()
        assert sim.submitted_count == 2, "one of the two slots is the other's again"
        monkeypatch.setattr(fair_share, "_OWED_FOR", 0)
        while not run.done():
            sim.end_all_jobs()
    assert run.result()["made"] == 4
