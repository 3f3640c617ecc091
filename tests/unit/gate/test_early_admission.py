"""Waits that are let through a little before a slot is free, and the forecast that decides when."""

import asyncio
import itertools
import random

import pytest

from airflow_pixverse.api.reply_ref import join
from airflow_pixverse.api.scheduler import AccountCapacity, Capacity, ExecutingJob
from airflow_pixverse.gate.forecast import Forecast
from airflow_pixverse.gate.handovers import Handovers
from airflow_pixverse.gate.lease_update import LeaseUpdate
from airflow_pixverse.gate.leases import Lease, Leases
from airflow_pixverse.submission.last_look import SlotWatch
from airflow_pixverse.submission.wait_protocol import Admission
from tests.unit.gate.service import A, B, a_request, in_background
from tests.unit.gate.virtual_time import now

# The forecast


def snapshot(*job_ids, kind="video", **fields):
    return Capacity(executing=[ExecutingJob(id=one, type=kind, email=A, **fields) for one in job_ids])


def learned(seconds=20.0, jobs=3, gap=1.0):
    """A forecast that has seen jobs come and go, and the time of its last snapshot."""
    forecast, at = Forecast(), 0.0
    forecast.observe(snapshot(), at)
    for number in range(jobs):
        began = at
        while at < began + seconds:
            at += gap
            forecast.observe(snapshot(f"old {number}"), at)
        at += gap
        forecast.observe(snapshot(), at)
    return forecast, at


def test_nothing_is_expected_until_three_jobs_of_the_kind_have_ended():
    for jobs, expected in ((2, []), (3, [("new", A)])):
        forecast, at = learned(jobs=jobs)
        forecast.observe(snapshot("new"), at + 1)
        assert forecast.ending(at, within=60) == expected


def test_end_is_expected_as_the_last_jobs_of_the_kind_have_taken():
    forecast, at = learned(seconds=20)
    forecast.observe(snapshot("new"), at + 1)
    assert forecast.next_end(at + 1) == pytest.approx(at + 20.5, abs=1)
    assert forecast.ending(at + 1, within=15) == []
    assert forecast.ending(at + 1, within=22) == [("new", A)]


def test_start_by_the_clock_of_the_service_counts():
    forecast, at = learned(seconds=20)
    forecast.observe(snapshot("new", elapsed="00:15"), at + 1)
    assert forecast.ending(at + 1, within=6) == [("new", A)]


def test_end_that_is_given_to_a_wait_is_expected_no_more():
    forecast, at = learned()
    forecast.observe(snapshot("first", "second"), at + 1)
    forecast.use("first")
    assert forecast.ending(at + 1, within=60) == [("second", A)]
    forecast.use("second")
    assert forecast.next_end(at + 1) == float("inf")


def test_nothing_is_expected_of_jobs_of_other_kinds_late_jobs_and_those_whose_start_is_unknown():
    forecast, at = learned(seconds=20)
    forecast.observe(snapshot("image", kind="image"), at + 1)
    assert forecast.ending(at + 1, within=60) == []
    forecast.observe(snapshot("late", elapsed="00:40"), at + 1)
    assert forecast.ending(at + 1, within=60) == []
    unknown = Forecast()
    unknown._durations["video"].extend([20.0] * 3)
    unknown.observe(snapshot("there before"), 0.0)
    assert unknown.ending(0.0, within=60) == []


def test_answer_without_a_list_of_jobs_ends_none():
    forecast, at = learned(seconds=20)
    forecast.observe(snapshot("new"), at + 1)
    forecast.observe(Capacity(), at + 2)
    forecast.observe(snapshot("new"), at + 3)
    assert forecast.next_end(at + 3) == pytest.approx(at + 20.5, abs=1)


def test_start_is_unknown_of_a_job_that_came_in_a_long_pause():
    forecast, at = learned(seconds=20)
    forecast.observe(snapshot("new"), at + 600)
    assert forecast.next_end(at + 600) == float("inf")


def test_end_on_an_account_that_nobody_waits_for_does_not_count():
    forecast, at = learned(seconds=20)
    forecast.observe(snapshot("new"), at + 1)
    assert forecast.next_end(at + 1, frozenset({B})) == float("inf")
    assert forecast.next_end(at + 1, frozenset({A, B})) < float("inf")


def test_jobs_that_are_shorter_than_the_time_between_polls_teach_nothing():
    forecast, at = learned(seconds=20, gap=60)
    forecast.observe(snapshot("new"), at + 1)
    assert forecast.ending(at + 1, within=60) == []


# Leases


def early(reference, granted_at=0.0):
    return Lease(frozenset({A}), {A: 1}, 1000.0, reference, granted_at, awaited="job", has_slot=False)


def account(available):
    return Capacity(accounts=[AccountCapacity(email=A, available=available)])


def test_early_lease_keeps_nothing_until_there_is_a_slot():
    leases = Leases()
    leases.grant(early("first"))
    leases.grant(early("second"))
    assert (leases.slots, leases.counts()) == (0, {})
    leases.observe(account(1), 1.0)
    assert [lease.has_slot for lease in leases] == [True, False]
    assert (leases.slots, leases.suggested()) == (1, {A: 1})
    leases.observe(account(2), 2.0)
    assert all(lease.has_slot for lease in leases)


def test_slot_that_has_come_is_kept_no_longer_than_any_other():
    leases = Leases()
    one = early("first")
    one.expires_at = 60.0 + 120.0
    leases.grant(one)
    leases.observe(account(1), 5.0)
    assert one.expires_at == 120.0
    late = early("second", 50.0)
    late.expires_at = 50.0 + 60.0 + 1.0
    leases.grant(late)
    leases.observe(account(2), 100.0)
    assert late.expires_at == 110.0


def test_handover_is_learned_from_a_job_that_is_listed_before_its_task_tells():
    leases = Leases()
    leases.grant(Lease(None, {A: 1}, 1000.0, "ours", 100.0))
    job = ExecutingJob(id="1", email=A, reply_ref=join("task", "ours"))
    leases.observe(Capacity(executing=[job]), 106.0)
    leases.update_lease("ours", LeaseUpdate.ACCEPTED, 200.0)
    assert leases.handover == 8.0


def test_slot_of_an_ordinary_lease_is_not_that_of_an_early_one():
    leases = Leases()
    leases.grant(Lease(None, {A: 1}, 1000.0, "ordinary"))
    leases.grant(early("early"))
    leases.observe(account(1), 1.0)
    assert [lease.has_slot for lease in leases] == [True, False]


def test_refused_job_whose_slot_was_never_there_locks_nothing():
    leases = Leases()
    leases.grant(early("early"))
    leases.update_lease("early", LeaseUpdate.REFUSED, 1.0)
    assert not leases


def test_handover_is_the_median_of_ordinary_leases_and_two_seconds():
    leases = Leases()
    assert leases.handover is None
    for number, seconds in enumerate((4.0, 5.0, 90.0)):
        leases.grant(Lease(None, {A: 1}, 1000.0, f"job {number}", 100.0))
        leases.update_lease(f"job {number}", LeaseUpdate.ACCEPTED, 100.0 + seconds)
        leases.update_lease(f"job {number}", LeaseUpdate.ACCEPTED, 900.0)
    leases.grant(early("early", 100.0))
    leases.update_lease("early", LeaseUpdate.ACCEPTED, 100.1)
    assert leases.handover == 7.0


@pytest.mark.parametrize("is_listed_first", [True, False])
@pytest.mark.parametrize(("looked", "handover"), [(20.0, 8.0), (30.0, 2.0), (None, None)])
def test_handover_of_an_early_lease_is_without_the_looks_of_its_worker(is_listed_first, looked, handover):
    leases = Leases()
    leases.grant(early("ours", 100.0))
    if is_listed_first:
        job = ExecutingJob(id="1", email=A, reply_ref=join("task", "ours"))
        leases.observe(Capacity(executing=[job]), 126.0)
        assert leases.handover is None
    leases.update_lease("ours", LeaseUpdate.ACCEPTED, 130.0 if is_listed_first else 126.0, looked)
    assert leases.handover == handover


def test_handovers_whose_workers_never_tell_are_forgotten():
    handovers = Handovers()
    for number in range(2000):
        handovers.record_early(f"{number}", 9.0)
    handovers.record_looks("0", 5.0)
    assert handovers.expected is None
    handovers.record_looks("1999", 5.0)
    assert handovers.expected == 6.0


def test_slot_is_expected_early_enough_for_a_worker_that_comes_at_once():
    handovers = Handovers()
    handovers.record(300.0)
    assert handovers.expected == 45.0


def job_of_other_triggerer(email=A):
    job = ExecutingJob(id=f"user:1-pixverse:{email}-video:9", email=email, reply_ref=join("task", "theirs"))
    return Capacity(executing=[job], accounts=[AccountCapacity(email=A, available=0)])


@pytest.mark.parametrize("is_listed_first", [True, False])
def test_refused_job_whose_slot_has_gone_to_another_triggerer_locks_nothing(is_listed_first):
    leases = Leases()
    leases.grant(Lease(None, {A: 1}, 1000.0, "ours", 5.0))
    if is_listed_first:
        leases.observe(job_of_other_triggerer(), 6.0)
        assert len(leases) == 1
    leases.update_lease("ours", LeaseUpdate.REFUSED, 7.0)
    leases.observe(job_of_other_triggerer(), 8.0)
    assert not leases


def test_one_job_of_another_triggerer_explains_one_refusal():
    leases = Leases()
    for reference in ("first", "second"):
        leases.grant(Lease(None, {A: 1}, 1000.0, reference, 5.0))
    leases.observe(job_of_other_triggerer(), 6.0)
    for reference in ("first", "second"):
        leases.update_lease(reference, LeaseUpdate.REFUSED, 7.0)
    assert [lease.reference for lease in leases] == ["second"]


@pytest.mark.parametrize(("email", "seen_at"), [(B, 6.0), (A, 4.0)])
def test_job_on_another_account_or_from_before_the_lease_explains_no_refusal(email, seen_at):
    leases = Leases()
    leases.observe(job_of_other_triggerer(email), seen_at)
    leases.grant(Lease(frozenset({A}), {A: 1}, 1000.0, "ours", 5.0))
    leases.update_lease("ours", LeaseUpdate.REFUSED, 7.0)
    assert [lease.is_abandoned for lease in leases] == [True]


# The gate with workers behind it


class Workers:
    """Tasks that wait at a gate, take some seconds to start, look for their slot, and submit."""

    def __init__(self, service, gate, handover, duration, *, told_after=3.0, **request):
        self.service, self.gate = service, gate
        self.handover, self.duration, self.told_after = handover, duration, told_after
        self.request = request
        self.refusals = self.vain = 0
        self.looked_at = []
        self.early = []  # from when to when slots were awaited
        self.numbers = itertools.count()

    async def make(self):
        """Make one job."""
        reference, since = f"{next(self.numbers):08}", now()
        while True:
            request = a_request(reference=reference, waiting_since=since, **self.request)
            with self.gate.queue(request) as waiter:
                await asyncio.wait({waiter.admitted})
                accounts = [account.to_xcom() for account in waiter.collect()]
            admitted_at = now()
            await asyncio.sleep(self.handover())
            admission = Admission(accounts, reference, ahead=waiter.ahead, awaited=waiter.awaited)
            looking_since = now()
            if not await self.is_there(admission):
                self.vain += 1
                self.gate.update_lease(reference, LeaseUpdate.RELEASED)
            elif not (free := [one for one in self.service.max_jobs if self.service.free(one) > 0]):
                self.refusals += 1
                self.gate.update_lease(reference, LeaseUpdate.REFUSED)
                await asyncio.sleep(5)
            else:
                break
        looked = now() - looking_since
        if admission.ahead is not None:
            self.early.append((admitted_at, now()))
        [email] = admission.emails[:1]
        job_id = self.service.start(email if email in free else free[0], join("x", reference))
        ends = now() + self.duration()
        await asyncio.sleep(self.told_after)  # the next trigger of the task tells
        self.gate.update_lease(reference, LeaseUpdate.ACCEPTED, looked)
        await asyncio.sleep(ends - now())
        self.service.end(job_id)

    async def is_there(self, admission):
        if admission.ahead is None:
            return True
        watch = SlotWatch(admission, now(), is_bound=False)
        while True:
            self.looked_at.append(now())
            if (outcome := watch.record(self.service.capacity(), now())) is not None:
                return not outcome
            await asyncio.sleep(watch.pause(now()))


async def made(workers, jobs):
    """The seconds that it takes to make so many jobs."""
    began = now()
    await asyncio.gather(*(workers.make() for _ in range(jobs)))
    return now() - began


@pytest.mark.service({A: 3, B: 2})
@pytest.mark.parametrize(
    ("handover", "seconds", "goals"),
    [(4, 20, (1.15, 1.2)), (4, 60, (1.07, 1.08)), (12, 20, (1.25, 1.5))],
)
async def test_slots_are_used_again_soon(service, monkeypatch, handover, seconds, goals):
    gate, (most, otherwise) = service.gate(), goals
    workers = Workers(service, gate, lambda: handover, lambda: seconds, poke_interval=5)
    ideal = 60 / 5 * seconds
    assert await made(workers, 60) <= most * ideal
    assert workers.refusals <= 2
    assert min(service.gaps) >= 2
    monkeypatch.setattr(Forecast, "_ends", lambda *_: [])
    assert await made(workers, 60) >= otherwise * ideal, "the goal would be met in any case"


@pytest.mark.parametrize("seconds", [20, 60])
@pytest.mark.parametrize("service", [{A: 1}, {A: 3, B: 2}], indirect=True)
async def test_gate_and_worker_look_once_in_two_seconds_for_a_slot_that_is_awaited(service, gate, seconds):
    workers = Workers(service, gate, lambda: 4, lambda: seconds, poke_interval=5)
    await made(workers, 60)
    looks = [*service.calls, *workers.looked_at]
    in_time = [at for at in looks if any(begin < at <= end for begin, end in workers.early)]
    assert len(in_time) <= sum(end - begin for begin, end in workers.early) / 2
    assert len(workers.early) > 40


@pytest.mark.service({A: 5})
async def test_handovers_that_become_shorter_are_learned_though_nearly_all_waits_pass_early(service, gate):
    slow = iter([25] * 5)
    workers = Workers(service, gate, lambda: next(slow, 4), lambda: 20, poke_interval=5)
    await made(workers, 60)
    assert len(workers.early) > 40
    assert gate._leases.handover < 10


@pytest.mark.service({A: 5})
async def test_durations_that_vary_by_half_cost_little_and_no_refusal(service, gate):
    dice = random.Random(1)
    workers = Workers(
        *(service, gate, lambda: dice.uniform(3, 6), lambda: dice.uniform(10, 30)), poke_interval=5
    )
    assert await made(workers, 60) <= 1.25 * 240
    assert workers.refusals <= 2
    assert not +gate._leases._early_room._lost, "there is no other user who could take a slot"


@pytest.mark.service({A: 2})
async def test_wait_that_passes_in_vain_is_back_in_its_place_and_awaits_that_job_no_more(service, gate):
    workers = Workers(service, gate, lambda: 2, lambda: 20, poke_interval=5)
    await made(workers, 8)
    stuck = service.fill()
    async with in_background(workers.make(), workers.make(), workers.make()):
        await asyncio.sleep(600)
        assert workers.vain == 2
        assert len(service.calls) < 300
        service.end(stuck[0])
        await asyncio.sleep(15)
        assert service.free(A) == 0
    assert workers.refusals == 0


@pytest.mark.service({A: 5})
async def test_workers_that_wait_in_vain_are_few_where_another_user_takes_each_slot(service, gate):
    workers = Workers(service, gate, lambda: 4, lambda: 20, poke_interval=5)
    await made(workers, 10)

    async def take_each_slot():
        while True:
            if service.free(A) > 0:
                in_use.append(asyncio.create_task(use_slot()))
            await asyncio.sleep(0.5)

    async def use_slot():
        job_id = service.start(A)
        await asyncio.sleep(20)
        service.end(job_id)

    in_use, waits = [], [asyncio.create_task(workers.make()) for _ in range(10)]
    async with in_background(take_each_slot()):
        await asyncio.sleep(600)
    # All five looked at first, for a minute each, and one at a time after that.
    assert 5 < workers.vain <= 5 + 600 / 60 + 1
    assert len(service.calls) < 200
    await asyncio.gather(*in_use, *waits)
    assert await made(workers, 60) <= 1.15 * 240, "all look again, once the other user is gone"


@pytest.mark.service({A: 1, B: 1})
async def test_nothing_is_early_for_sensors_without_a_lease_and_on_other_accounts(service, gate):
    workers = Workers(service, gate, lambda: 2, lambda: 20, poke_interval=5)
    await made(workers, 10)
    service.fill()
    kinds = [{"slots": 2, "reference": "x"}, {"lease": 0, "reference": "x"}, {"reference": ""}]
    waits = [{**kind, "emails": emails} for kind in kinds for emails in (None, frozenset({A}))]
    waits.append({"reference": "y", "emails": frozenset({"c@example.com"})})
    for request in waits:
        with gate.queue(a_request(**request)) as waiter:
            await asyncio.sleep(30)
            assert not waiter.admitted.done()
    for job_id in list(service.jobs):
        service.end(job_id)
    service.fill()
    with gate.queue(a_request(reference="z")) as waiter:
        await asyncio.sleep(30)
        assert waiter.admitted.done()
        assert waiter.ahead == []
