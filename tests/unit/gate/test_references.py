"""Leases for one job each: it alone ends its lease, and its holder tells the gate what becomes of it."""

import asyncio
from copy import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.api.models import Capacity, ExecutingJob
from airflow_pixverse.gate.leases import Lease, Leases
from airflow_pixverse.slot_news import News
from tests.unit.gate.service import A, B, C, Service, a_request, in_background, told, wait
from tests.unit.gate.steps import count_steps
from tests.unit.gate.virtual_time import now, on_virtual_time


def lease(reference="", *emails, expires_at=1000.0):
    return Lease(frozenset(emails) or None, {emails[0] if emails else A: 1}, expires_at, reference)


def leases(*granted):
    result = Leases()
    for one in granted:
        result.grant(one)
    return result


def see(leases_, *jobs, now=0.0, **kwargs):
    """Let the leases observe jobs, each an id, an account and a replyRef."""
    executing = [ExecutingJob(id=job, email=email, reply_ref=reference) for job, email, reference in jobs]
    leases_.observe(Capacity(executing=executing), now, **kwargs)


def test_a_job_ends_the_lease_for_it_wherever_it_lands():
    older, its = lease("one", A), lease("two", B)
    all_ = leases(lease("", C), older, its)
    see(all_, ("1", C, "airflow:a/b/c/-1#two"))
    assert [one.reference for one in all_] == ["", "one"]


@pytest.mark.parametrize("reference", [None, "", "somebody's", "somebody's#other", "one"])
def test_other_jobs_end_only_leases_for_unknown_jobs(reference):
    all_ = leases(lease("one", A), lease("", A))
    see(all_, ("1", A, reference), ("2", A, reference))
    assert [one.reference for one in all_] == ["one"]


def test_a_job_whose_lease_has_ended_ends_no_other():
    all_ = leases(lease("one", A, expires_at=5.0), lease("", A))
    see(all_, now=6.0)
    see(all_, ("1", A, "x#one"), ("2", A, "x#one"), now=7.0)
    assert [one.reference for one in all_] == [""]


def test_an_accepted_job_ends_its_lease_with_the_next_poll_whether_it_is_listed_or_not():
    all_ = leases(lease("one", A))
    for told_at in (10.0, 11.5):  # a trigger that is started again tells it again
        assert not all_.tell("one", News.ACCEPTED, told_at)
    see(all_, now=11.0, poll_began=9.0)
    assert all_.slots == 1, "that poll began before, so it may not have seen the job"
    see(all_, now=12.0, poll_began=10.0)
    assert all_.slots == 1, "nor may one that began at the same moment"
    see(all_, now=13.0, poll_began=11.0)
    assert all_.slots == 0


def test_a_refused_job_leaves_its_slot_leased_for_three_minutes():
    all_ = leases(lease("one", A, expires_at=20.0))
    assert not all_.tell("one", News.REFUSED, 10.0)
    see(all_, now=189.0)
    assert all_.slots == 1
    see(all_, now=190.0)
    assert all_.slots == 0


def test_the_slot_of_a_refused_job_belongs_to_nobody_so_only_time_ends_its_lease():
    all_ = leases(lease("one", A))
    all_.tell("one", News.REFUSED, 10.0)
    for news in News:
        assert not all_.tell("one", news, 100.0)
    see(all_, ("1", A, "x#one"), ("2", A, None), now=189.0, poll_began=188.0)
    assert all_.slots == 1
    see(all_, now=190.0)
    assert all_.slots == 0
    assert not all_._groups


def test_a_copy_of_the_lease_of_a_refused_job_belongs_to_nobody_either():
    first, second = leases(lease("one", A)), leases()
    first.tell("one", News.REFUSED, 10.0)
    second.adopt(first)
    second.tell("one", News.RELEASED, 11.0)
    see(second, ("1", A, "x#one"), now=12.0)
    assert second.slots == 1


def test_a_second_lease_for_the_same_job_takes_the_place_of_the_first():
    first, second = lease("one", A), lease("one", B)
    all_ = leases(first, second)
    assert list(all_) == [second]
    all_.revoke(first)
    see(all_, ("1", C, "x#one"))
    assert all_.slots == 0
    assert not all_._groups


def test_a_job_ends_all_slots_of_the_lease_for_it():
    all_ = leases(Lease(None, {A: 2, B: 1}, 1000.0, "one"))
    see(all_, ("1", A, "x#one"))
    assert all_.slots == 0


def test_a_released_slot_is_free_at_once():
    all_ = leases(lease("one", A))
    assert all_.tell("one", News.RELEASED, 10.0)
    assert all_.slots == 0
    assert not all_._groups


def test_news_of_a_lease_that_is_not_there_is_passed_over():
    all_ = leases(lease("one", A))
    for news in News:
        assert not all_.tell("two", news, 10.0)
    assert all_.slots == 1


def test_a_gate_that_adopts_leases_knows_their_jobs():
    gone, here = lease("one", A, expires_at=5.0), lease("two", A)
    first, second = leases(gone, here), leases(lease("", A))
    see(first, now=6.0)
    second.adopt(first)
    see(second, ("1", A, "x#one"), ("2", A, "x#two"), now=7.0)
    assert [one.reference for one in second] == [""]


@on_virtual_time
async def test_a_lease_for_a_job_of_chosen_accounts_counts_against_the_one_it_is_to_use():
    service = Service({A: 2, B: 1})
    gate = service.gate()
    chosen = frozenset([A, B])
    started = now()
    assert told(await wait(gate, emails=chosen, reference="one"))[0] == (A, 2)
    assert told(await wait(gate, emails=frozenset([B]))) == [(B, 1)]
    assert now() - started < 30, "long before the lease ends"


@on_virtual_time
async def test_a_lease_for_a_job_of_any_account_counts_against_all():
    service = Service({A: 2, B: 1})
    gate = service.gate()
    await wait(gate, reference="one")
    async with in_background(wait(gate, emails=frozenset([B]))) as [waiting]:
        await asyncio.sleep(30)
        assert not waiting.done()


@on_virtual_time
async def test_two_jobs_of_chosen_accounts_are_told_different_slots():
    service = Service({A: 1, B: 1})
    gate = service.gate()
    chosen = frozenset([A, B])
    first = told(await wait(gate, emails=chosen, reference="one"))[0]
    second = told(await wait(gate, emails=chosen, reference="two"))[0]
    assert {first, second} == {(A, 1), (B, 1)}


@on_virtual_time
async def test_a_released_slot_goes_to_the_next_without_another_poll():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, reference="one")
    async with in_background(wait(gate, reference="two")) as [waiting]:
        await asyncio.sleep(1)
        assert not waiting.done()
        calls = len(service.calls)
        gate.tell("one", News.RELEASED)
        await asyncio.sleep(1)
        assert waiting.done()
        assert len(service.calls) == calls


@on_virtual_time
async def test_a_slot_released_long_after_the_last_poll_is_not_left_until_the_interval_is_over():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, reference="one", poke_interval=60)
    async with in_background(wait(gate, reference="two", poke_interval=60)) as [waiting]:
        await asyncio.sleep(8)
        gate.tell("one", News.RELEASED)
        await asyncio.sleep(3)
        assert waiting.done()
        assert service.gaps == [10]


@on_virtual_time
async def test_a_slot_released_while_the_service_is_down_is_given_on_at_the_pace_of_its_failures():
    service = Service({A: 1}, errors=[None, *[PixverseTransientError("down")] * 3])
    gate = service.gate()
    await wait(gate, reference="one", poke_interval=60)
    async with in_background(wait(gate, reference="two", poke_interval=60)) as [waiting]:
        await asyncio.sleep(8)
        gate.tell("one", News.RELEASED)
        await asyncio.wait({waiting})
        assert service.gaps == [10, 10, 20, 40]


@on_virtual_time
async def test_a_waiter_knows_when_its_slot_was_given_to_it_however_late_it_collects():
    service = Service({A: 1})
    gate = service.gate()
    with gate.queue(a_request(reference="one")) as waiter:
        await asyncio.wait({waiter.admitted})
        admitted = now()
        await asyncio.sleep(7)
        assert waiter.admitted_at == admitted


@on_virtual_time
async def test_the_slot_of_an_off_peak_job_is_free_once_it_is_accepted():
    """It is never listed, and takes no slot: only its holder tells that it is there."""
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, reference="one")
    started = now()
    async with in_background(wait(gate, reference="two")) as [waiting]:
        gate.tell("one", News.ACCEPTED)
        await asyncio.sleep(12)
        assert waiting.done()
        assert now() - started < 120, "the lease alone would have lasted that long"


@on_virtual_time
async def test_a_refused_job_keeps_its_slot_from_the_next():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, reference="one", lease=20)
    gate.tell("one", News.REFUSED)
    started = now()
    await wait(gate, reference="two")
    assert 180 <= now() - started <= 190


def test_what_a_poll_costs_does_not_grow_with_the_named_leases():
    def cost(count):
        all_ = leases(*(lease(f"ref{number}", A) for number in range(count)))
        jobs = [ExecutingJob.model_construct(id=f"job-{n}", email=A, reply_ref=f"x#{n}") for n in range(500)]
        capacity = Capacity.model_construct(executing=jobs)
        return count_steps(lambda: all_.observe(capacity, 0.0))

    assert cost(1000) < 1.5 * cost(10)


# The same in its simplest form: no index, each lease looked at each time.


class SimpleLeases:
    def __init__(self):
        self.leases = []
        self.jobs_seen, self.references = set(), set()

    def grant(self, one):
        if one.reference:
            self.leases = [other for other in self.leases if self._holder(other) != one.reference]
            self.references.add(one.reference)
        self.leases.append(one)

    def tell(self, reference, news, now):
        for one in [one for one in self.leases if reference and self._holder(one) == reference]:
            match news:
                case News.ACCEPTED:
                    one.accepted_at = min(one.accepted_at, now)
                case News.REFUSED:
                    one.expires_at, one.is_abandoned = now + 180, True
                case News.RELEASED:
                    self.leases.remove(one)

    def observe(self, jobs, now, poll_began):
        for job_id, email, reference in jobs:
            if job_id in self.jobs_seen:
                continue
            self.jobs_seen.add(job_id)
            if reference in self.references:
                self.leases = [one for one in self.leases if self._holder(one) != reference]
            elif fits := [
                one for one in self.leases if not one.reference and email in (one.emails or {email})
            ]:
                self.leases.remove(fits[0])
        self.leases = [one for one in self.leases if not one.is_over(now, poll_began)]

    @staticmethod
    def _holder(one):
        return "" if one.is_abandoned else one.reference


references = st.sampled_from(["", "one", "two", "three"])
some_jobs = st.lists(
    st.tuples(st.sampled_from("123456789"), st.sampled_from([A, B]), references | st.just("somebody")),
    max_size=4,
)
steps = st.one_of(
    st.tuples(
        st.just("grant"), st.tuples(references, st.sampled_from([(), (A,), (B,)]), st.integers(0, 300))
    ),
    st.tuples(st.just("tell"), st.tuples(references, st.sampled_from(News))),
    st.tuples(st.just("observe"), st.tuples(some_jobs, st.integers(0, 60))),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25))
def test_leases_end_as_if_each_was_looked_at_each_time(script):
    all_, simple = leases(), SimpleLeases()
    for step, (action, what) in enumerate(script):
        at = 30.0 * step
        if action == "grant":
            reference, emails, seconds = what
            all_.grant(one := lease(reference, *emails, expires_at=at + seconds))
            simple.grant(copy(one))
        elif action == "tell":
            all_.tell(*what, at)
            simple.tell(*what, at)
        else:
            jobs, ago = what
            see(all_, *[(job, email, f"x#{ref}") for job, email, ref in jobs], now=at, poll_began=at - ago)
            simple.observe(jobs, at, at - ago)
        assert [one.number for one in all_] == [one.number for one in simple.leases]
        assert all_.slots == len(simple.leases)
        assert all_.counted_against(frozenset([A])) == sum(A in (one.emails or {A}) for one in simple.leases)
    for one in list(all_):
        all_.revoke(one)
    assert not all_._groups
    assert not all_._by_reference
