"""Whatever happens, in whatever order, the gate keeps its promises."""

import asyncio
import itertools
import logging
import operator
import random
from dataclasses import dataclass
from types import NoneType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_pixverse.api.errors import PixverseAuthError, PixverseTransientError
from airflow_pixverse.api.reply_ref import join
from airflow_pixverse.api.scheduler import email_keys
from airflow_pixverse.gate.errors import GateMovedError
from airflow_pixverse.gate.lease_update import LeaseUpdate
from airflow_pixverse.gate.leases import Lease, counted_against
from airflow_pixverse.gate.waiter import Waiter, WaitRequest
from tests.unit.gate.service import A, B, C, Service, settle
from tests.unit.gate.virtual_time import now, on_virtual_time

ACCOUNTS = [A, B, C]

requests = st.fixed_dictionaries(
    {
        "slots": st.integers(1, 4),
        "emails": st.none() | st.sets(st.sampled_from(ACCOUNTS), min_size=1).map(email_keys),
        "poke_interval": st.sampled_from([5.0, 7.0, 30.0]),
        "exponential_backoff": st.booleans(),
        "max_wait": st.sampled_from([10.0, 60.0]),
        "lease": st.sampled_from([None, 20.0, 0.0]),
        "connection": st.sampled_from(["one", "two"]),
        "priority": st.sampled_from([1, 1, 3]),
        "dag_id": st.sampled_from(["", "", "other"]),
        "holder": st.sampled_from(["", "task"]),
    }
)
arrivals = st.tuples(st.just("arrive"), requests, st.floats(0, 20), st.booleans())
times = st.tuples(st.just("pass time"), st.floats(0, 100))
steps = st.one_of(
    arrivals,
    arrivals,
    times,
    times,
    st.tuples(
        st.just("tell"), st.integers(0, 50), st.sampled_from(LeaseUpdate), st.none() | st.floats(0, 60)
    ),
    st.tuples(st.just("leave"), st.integers(0, 50)),
    st.tuples(st.just("give up"), st.integers(0, 50)),
    st.tuples(st.just("move out"), st.sampled_from(["one", "two"])),
    st.tuples(st.just("start"), st.sampled_from(ACCOUNTS)),
    st.tuples(st.just("fill")),
    st.tuples(st.just("end"), st.integers(0, 50)),
    st.tuples(st.just("fail"), st.none() | st.floats(0, 50)),
    st.tuples(st.just("fail fatally"), st.integers(1, 3)),
    st.tuples(st.just("fail unforeseen")),
    st.tuples(st.just("cancel the poll")),
)


@dataclass
class Wait:
    """A wait as its owner sees it."""

    request: WaitRequest
    task: asyncio.Task | None = None
    waiter: Waiter | None = None
    admitted_at: float | None = None


class BrokenObserver:
    """Fails whatever it is told."""

    def record_poll(self, **poll):
        raise ZeroDivisionError("a bug")


class FatalCounting(Service):
    """Counts the fatal answers since the last success."""

    fatal_answers = 0

    async def get_capacity(self):
        try:
            capacity = await super().get_capacity()
        except PixverseAuthError:
            self.fatal_answers += 1
            raise
        self.fatal_answers = 0
        return capacity


class World:
    """The service, the gate, and everybody who waits at it."""

    def __init__(self, max_jobs: dict[str, int], *, submit: bool, observer: BrokenObserver | None) -> None:
        self.service = FatalCounting(max_jobs, answer_seconds=0.01)
        jitter = random.Random(0).random  # the same when hypothesis plays it again
        self.gate = self.service.gate(jitter=jitter, observer=observer)
        self.waits: list[Wait] = []
        self.submit = submit
        self.broken: list[str] = []
        self.grant_lease = self.gate._leases.grant
        self.gate._leases.grant = self.grant

    def let_waits_pass_early(self) -> None:
        """Let the gate know how long jobs and handovers take."""
        self.gate._forecast._durations["video"].extend([40.0] * 3)
        self.gate._leases._handovers.record(20.0)

    async def wait(self, wait: Wait) -> None:
        with self.gate.queue(wait.request) as wait.waiter:
            await asyncio.wait({wait.waiter.admitted})
            try:
                accounts = wait.waiter.collect()
            except PixverseAuthError:
                if self.service.fatal_answers < 2:
                    self.broken.append("a wait was ended by one fatal answer")
                raise
        wait.admitted_at = now()
        is_early = wait.waiter.ahead is not None
        if not is_early and sum(account.available for account in accounts) < wait.request.slots:
            self.broken.append(f"{wait.request} was told of too few slots")
        if is_early and not (wait.request.reference and len(accounts) == 1):
            self.broken.append(f"{wait.request} cannot look for a slot of {accounts}")
        if self.submit:
            self.submit_as_told(accounts, wait.request)

    def grant(self, lease: Lease) -> None:
        """Check that all leases, the new one too, fit into the slots seen last; an early one has none yet."""
        if lease.has_slot and not any(self.has_room(lease, emails) for emails in self.chosen(lease)):
            free = self.gate._snapshot.free_slots()
            self.broken.append(f"{lease.slots} slots of {lease.emails} are leased, {free} are free in all")
        self.grant_lease(lease)

    def has_room(self, lease: Lease, emails: frozenset[str]) -> bool:
        free = self.gate._snapshot.free_slots(emails)
        return lease.slots <= free - counted_against(self.gate._leases.counts(), emails)

    def chosen(self, lease: Lease) -> list[frozenset[str]]:
        """The accounts that the gate may have looked at: a lease for one job is for its own account alone."""
        asked = [wait.request.emails for wait in self.waits if wait.request.reference == lease.reference]
        if not (lease.reference and asked[0]):
            return [lease.emails or email_keys(ACCOUNTS)]
        others = asked[0] - lease.emails
        more = itertools.chain.from_iterable(
            itertools.combinations(others, n) for n in range(len(others) + 1)
        )
        return [lease.emails.union(one) for one in more]

    def submit_as_told(self, accounts, request) -> None:
        slots = request.slots
        reply_ref = join("task", request.reference) if request.reference else None
        for account in accounts:
            for _ in range(min(slots, account.available)):
                if self.service.free(account.email) > 0:
                    self.service.start(account.email, reply_ref)
                slots -= 1

    def one_of(self, number) -> list[Wait]:
        """Return one that still waits, if any does."""
        waiting = [wait for wait in self.waits if not wait.task.done()]
        return waiting[number % len(waiting) :][:1] if waiting else []

    def act(self, step) -> None:
        """Do a step: the method of its name, with the rest as arguments."""
        name, *arguments = step
        getattr(self, name.replace(" ", "_"))(*arguments)

    def arrive(self, request, waited, is_for_one_job) -> None:
        """Let a task wait, for one job or for a sensor; a task instance has one wait at a time."""
        if is_for_one_job:
            request |= {"slots": 1, "reference": f"{len(self.waits):08}"}
        waiting = {wait.request.holder for wait in self.waits if not wait.task.done()}
        if not is_for_one_job or request["holder"] in waiting or request["lease"] == 0:
            request |= {"holder": ""}
        wait = Wait(WaitRequest(**request, waiting_since=now() - waited / 3))
        wait.task = asyncio.create_task(self.wait(wait))
        self.waits.append(wait)

    def tell(self, number, update, looked) -> None:
        """Let a task tell what has become of its job."""
        told = [wait.request.reference for wait in self.waits if wait.admitted_at is not None]
        if told:
            self.gate.update_lease(told[number % len(told)], update, looked)

    def leave(self, number) -> None:
        for wait in self.one_of(number):
            wait.task.cancel()

    def give_up(self, number) -> None:
        for wait in self.one_of(number):
            if wait.waiter is not None:
                wait.waiter.admitted.cancel()

    def move_out(self, connection) -> None:
        self.gate.move_out(connection)
        if connection in self.gate.connections:
            self.broken.append("a wait was not moved out")

    def start(self, email) -> None:
        if self.service.free(email) > 0:
            self.service.start(email)

    def fill(self) -> None:
        self.service.fill()

    def end(self, number) -> None:
        if self.service.jobs:
            self.service.end(list(self.service.jobs)[number % len(self.service.jobs)])

    def fail(self, retry_after) -> None:
        self.service.errors.append(PixverseTransientError("busy", retry_after=retry_after))

    def fail_fatally(self, times) -> None:
        self.service.errors += [PixverseAuthError("no")] * times

    def fail_unforeseen(self) -> None:
        self.service.errors.append(ZeroDivisionError())

    def cancel_the_poll(self) -> None:
        if self.gate._polling is not None:
            self.gate._polling.cancel()

    def pass_time(self, seconds) -> None:
        """Nothing else happens."""

    async def let_all_be_served(self, max_jobs) -> list[Wait]:
        """End jobs again and again, and return the waits that could be served then, as they began."""
        await settle()
        self.service.errors.clear()
        waiting = [wait for wait in self.waits if not wait.task.done() and possible(wait.request, max_jobs)]
        for _ in range(len(waiting) + 1):
            self.service.jobs.clear()
            await asyncio.sleep(500)  # longer than any backoff and lease
        # Since when a task waits, its earlier tries included, and else as they came.
        return sorted(waiting, key=lambda wait: (wait.waiter.turn.since, wait.waiter.turn.number))

    async def let_all_go(self) -> None:
        """Cancel all who are left: none of them can ever be served."""
        for wait in self.waits:
            wait.task.cancel()
        ends = await asyncio.gather(*(wait.task for wait in self.waits), return_exceptions=True)
        for error in ends:
            assert isinstance(error, (PixverseAuthError, GateMovedError, asyncio.CancelledError, NoneType))
        await asyncio.sleep(1)


@pytest.fixture(autouse=True, scope="module")
def _no_logs():
    """Log nothing: hypothesis fails polls by the thousand."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def possible(request: WaitRequest, max_jobs: dict[str, int]) -> bool:
    return request.slots <= sum(
        n for email, n in max_jobs.items() if request.emails is None or email in request.emails
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    max_jobs=st.fixed_dictionaries({email: st.integers(0, 3) for email in ACCOUNTS}),
    script=st.lists(steps, max_size=30) | st.lists(steps, min_size=10, max_size=30),
    submit=st.booleans(),
    observer=st.sampled_from([None, BrokenObserver()]),
    is_informed=st.booleans(),
)
@on_virtual_time
async def test_the_gate_keeps_its_promises(max_jobs, script, submit, observer, is_informed):
    world = World(max_jobs, submit=submit, observer=observer)
    if is_informed:
        world.let_waits_pass_early()
    for step in script:
        world.act(step)
        await asyncio.sleep(step[1] if step[0] == "pass time" else 0)

    # It never admits more than is free beyond what is leased, nor believes one fatal answer.
    assert world.broken == []

    # Once jobs end and no other wait comes, it neither loses nor starves a wait that can be served.
    served = await world.let_all_be_served(max_jobs)
    for wait in served:
        assert wait.admitted_at is not None, f"{wait.request} still waits"
    assert world.broken == []

    # The longest wait was first, among those of one DAG and priority for the same.
    kind = operator.attrgetter("slots", "emails", "priority", "dag_id")
    for first, later in itertools.combinations(served, 2):
        if kind(first.request) == kind(later.request):
            assert first.admitted_at <= later.admitted_at

    # It never polls more than once an interval, or in two seconds for a wait that may pass early.
    shortest = 2.0 if any(wait.request.reference for wait in world.waits) else 5.0
    for earlier, later in itertools.pairwise(world.service.calls):
        assert later - earlier >= shortest - 1e-6

    # Nothing is left of it when all have gone.
    await world.let_all_go()
    assert len(asyncio.all_tasks()) == 1
    assert not world.gate._queue
    calls = len(world.service.calls)
    await asyncio.sleep(1000)
    assert len(world.service.calls) == calls
