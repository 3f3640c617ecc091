"""Fair shares: a batch takes turns with the DAGs whose jobs it sees, and leaves nothing unused for long."""

import heapq
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_pixverse.api import reply_ref
from airflow_pixverse.api.scheduler import ExecutingJob
from airflow_pixverse.batch import fair_share
from airflow_pixverse.batch.fair_share import FairShare
from airflow_pixverse.submission.request import TaskName, task_prefix
from tests.unit.batch.conftest import prompts, running

OWN = task_prefix(TaskName("dag", "run", "campaign", -1))
ANOTHER_DAG = task_prefix(TaskName("another", "run", "make", 3))


class Clock:
    """The clock of the module, which a test sets."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(fair_share, "time", clock)
    return clock


@pytest.fixture
def share(clock):
    return FairShare(OWN)


_ids = itertools.count()


def job(prefix=ANOTHER_DAG):
    """A job that has just started."""
    reference = prefix and reply_ref.join(prefix, reply_ref.new_random_part())
    return ExecutingJob(id=f"job {next(_ids)}", reply_ref=reference)


def take(share, room, free):
    """Take the slots that are the batch's, and return how many."""
    allowed = share.allowed(room, free)
    for _ in range(allowed):
        share.record_taken()
    return allowed


def test_batch_that_is_alone_takes_all_slots(share):
    share.see([])
    assert take(share, 5, 5) == 5
    assert not share.is_shared


def test_batch_that_is_alone_offers_a_slot_once_in_three_minutes_for_ten_seconds(share, clock):
    share.see([])
    assert take(share, 5, 5) == 5
    taken = []
    for clock.now in (179, 180, 182, 189, 190, 192, 369, 370):
        taken.append(take(share, 3, 3))
    assert taken == [3, 2, 2, 2, 3, 3, 3, 2]


def test_offer_is_over_once_all_slots_are_taken(share, clock):
    share.see([])
    take(share, 5, 5)
    clock.now = 180
    assert take(share, 1, 1) == 0
    share.see([job()])
    assert take(share, 0, 0) == 0
    clock.now = 191
    assert take(share, 1, 1) == 1, "its turn comes after that of the other"
    assert take(share, 1, 1) == 0


def test_offer_that_another_program_takes_is_over_too(share, clock):
    share.see([])
    take(share, 5, 5)
    clock.now = 180
    assert take(share, 1, 1) == 0
    assert take(share, 0, 0) == 0
    assert not share.is_shared
    assert take(share, 1, 1) == 1


def test_dag_whose_job_starts_gets_every_other_slot(share):
    jobs = []
    share.see(jobs)
    take(share, 5, 5)
    taken = []
    for _ in range(6):
        taken.append(take(share, 1, 1))
        if not taken[-1]:
            jobs.append(job())
        share.see(jobs)
        if not jobs:  # the first job of another DAG comes on a slot that the batch did not see free
            jobs.append(job())
            share.see(jobs)
    assert taken == [1, 1, 0, 1, 0, 1]


def test_each_of_several_dags_has_a_turn(share):
    third = task_prefix(TaskName("third", "run", "make", -1))
    share.see([job(), job(third)])
    assert take(share, 6, 6) == 2


@pytest.mark.parametrize(
    "prefix",
    [
        task_prefix(TaskName("dag", "run", "another_task", -1)),
        task_prefix(TaskName("another", "x" * 2000, "make", -1)),
        "a reply_ref of the user's",
    ],
)
def test_each_other_task_of_this_package_counts(share, prefix):
    share.see([job(prefix)])
    assert take(share, 2, 2) == 1


@pytest.mark.parametrize("prefix", [OWN, task_prefix(TaskName("dag", "another run", "campaign", 2)), None])
def test_neither_other_programs_nor_the_task_itself_count(share, prefix):
    share.see([job(prefix)])
    assert take(share, 2, 2) == 2


def test_slots_that_its_limits_leave_are_for_others(share, clock):
    share.see([job()])
    assert take(share, 2, 4) == 2
    clock.now = 1000
    share.reset()
    clock.now = 2000
    assert take(share, 1, 2) == 1, "nothing is offered where a slot is free anyway"


def test_slot_that_stays_free_is_taken_and_the_other_dag_has_no_more_turns(share, clock):
    share.see([job()])
    assert take(share, 2, 2) == 1
    clock.now = 9
    assert take(share, 1, 1) == 0
    clock.now = 10
    assert take(share, 1, 1) == 1
    assert not share.is_shared
    assert take(share, 2, 2) == 2


def test_refused_row_gives_its_turn_back(share):
    share.see([job()])
    assert take(share, 1, 1) == 1
    share.record_unused()
    assert take(share, 1, 1) == 1


class Contest:
    """
    A batch and another DAG on one account, which both have work; a look each half second.

    The worst for the other DAG: the batch looks right after each end, and the DAG needs its delay.
    """

    def __init__(self, clock, slots, durations):
        self.clock, self.slots = clock, slots
        self.share = FairShare(OWN)
        self.starts = {OWN: 0, ANOTHER_DAG: 0}
        self._executing, self._ends, self._durations = {}, [], itertools.cycle(durations)
        self._full_at = self._left_at = 0.0

    def look(self, *, delay, is_waiting):
        """Let both look, the batch first; return how long the batch has left a slot that nobody takes."""
        now = self.clock.now
        while self._ends and self._ends[0][0] <= now:
            del self._executing[heapq.heappop(self._ends)[1]]
        self.share.see(self._executing.values())
        free = self.slots - len(self._executing)
        for _ in range(take(self.share, free, free)):
            self._start(OWN)
        if len(self._executing) == self.slots:
            self._full_at = self._left_at = now
        elif is_waiting and now - self._full_at >= delay:
            self._start(ANOTHER_DAG)
            self._left_at = now
        return now - self._left_at

    def _start(self, prefix):
        new = job(prefix)
        self._executing[new.id] = new
        heapq.heappush(self._ends, (self.clock.now + next(self._durations), new.id))
        self.starts[prefix] += 1


@settings(deadline=None)
@given(
    slots=st.integers(1, 8),
    durations=st.lists(st.floats(1, 60), min_size=1, max_size=5),
    delay=st.floats(0.5, 7.5),
    begins=st.integers(0, 400),
)
def test_dag_that_waits_gets_its_half_and_no_slot_is_left_for_long(slots, durations, delay, begins):
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(fair_share, "time", clock)
        contest = Contest(clock, slots, durations)
        ends = begins + 190 + 2 * max(durations)
        own_before, is_known = 0, False
        while clock.now < ends:
            left = contest.look(delay=delay, is_waiting=clock.now >= begins)
            assert left <= 10.5
            own, others = contest.starts.values()
            own_before = own_before if is_known else own
            is_known = others > 0  # from the next look of the batch on
            assert own - own_before <= others + slots
            clock.now += 0.5
        assert others, "it waits for three minutes, ten seconds and a job at most"
        while clock.now < ends + 60:
            assert contest.look(delay=delay, is_waiting=False) <= 10.5
            clock.now += 0.5


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 2}, job_seconds=(3600, 3600))
def test_batch_leaves_a_free_slot_to_a_dag_that_submits_and_takes_the_next(sim, batch, monkeypatch):
    def another_submits():
        sim.start_job(reply_ref=reply_ref.join(ANOTHER_DAG, reply_ref.new_random_part()))

    def looks():
        return sum(one.path.endswith("scheduler/available") for one in sim.requests)

    def wait_for_looks():
        """Wait until the batch has seen the service as it is now, and has done what follows."""
        seen = looks()
        while looks() < seen + 3:
            sim.wait_for_requests(sim.request_count + 1)

    monkeypatch.setattr(fair_share, "_OFFER_FOR", 3600)
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
        monkeypatch.setattr(fair_share, "_OFFER_FOR", 0)
        while not run.done():
            sim.end_all_jobs()
    assert run.result()["made"] == 4
