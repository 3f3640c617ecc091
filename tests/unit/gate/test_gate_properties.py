"""Whatever happens, in whatever order, the gate keeps its promises."""

import asyncio
import itertools
import logging
import random
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.api.models import email_keys
from airflow_pixverse.gate import WaitRequest
from airflow_pixverse.gate.leases import Lease
from tests.unit.gate.service import Service
from tests.unit.gate.virtual_time import now, run

ACCOUNTS = ["a@example.com", "b@example.com", "c@example.com"]

requests = st.fixed_dictionaries(
    {
        "slots": st.integers(1, 4),
        "emails": st.none() | st.sets(st.sampled_from(ACCOUNTS), min_size=1).map(email_keys),
        "poke_interval": st.sampled_from([5.0, 7.0, 30.0]),
        "exponential_backoff": st.booleans(),
        "max_wait": st.sampled_from([10.0, 60.0]),
        "lease": st.sampled_from([None, 20.0]),
    }
)
steps = st.one_of(
    st.tuples(st.just("arrive"), requests, st.floats(0, 20)),
    st.tuples(st.just("leave"), st.integers(0, 50)),
    st.tuples(st.just("start"), st.sampled_from(ACCOUNTS)),
    st.tuples(st.just("end"), st.integers(0, 50)),
    st.tuples(st.just("fail"), st.none() | st.floats(0, 50)),
    st.tuples(st.just("pass time"), st.floats(0, 100)),
)


@dataclass
class Wait:
    """A wait as its owner sees it."""

    request: WaitRequest
    task: asyncio.Task | None = None
    admitted_at: float | None = None


class World:
    """The service, the gate, and everybody who waits at it."""

    def __init__(self, max_jobs: dict[str, int], *, submit: bool) -> None:
        self.service = Service(max_jobs)
        self.gate = self.service.gate()
        self.waits: list[Wait] = []
        self.submit = submit
        self.overshoot: list[str] = []
        self.grant_lease = self.gate._leases.grant
        self.gate._leases.grant = self.grant

    async def wait(self, wait: Wait) -> None:
        with self.gate.queue(wait.request) as waiter:
            await asyncio.wait({waiter.admitted})
            accounts = waiter.collect()
        wait.admitted_at = now()
        assert sum(account.available for account in accounts) >= wait.request.slots
        if self.submit:
            self.submit_as_told(accounts, wait.request.slots)

    def grant(self, lease: Lease) -> None:
        """What holders of leases may still use, and the new lease, must fit into what was seen last."""
        emails = lease.emails or email_keys(ACCOUNTS)
        free = self.gate._outcome.free_slots(emails) - self.gate._leases.counted_against(emails)
        if lease.slots > free:
            self.overshoot.append(f"{lease.slots} slots of {set(emails)} are leased, {free} are free")
        self.grant_lease(lease)

    def submit_as_told(self, accounts, slots) -> None:
        for account in accounts:
            for _ in range(min(slots, account.available)):
                if self.service.free(account.email) > 0:
                    self.service.start(account.email)
                slots -= 1

    def act(self, step) -> None:
        match step:
            case "arrive", request, waited:
                wait = Wait(WaitRequest(**request, waiting_since=now() - waited / 3))
                wait.task = asyncio.create_task(self.wait(wait))
                self.waits.append(wait)
            case "leave", number:
                if waiting := [wait for wait in self.waits if not wait.task.done()]:
                    waiting[number % len(waiting)].task.cancel()
            case "start", email:
                if self.service.free(email) > 0:
                    self.service.start(email)
            case "end", number:
                if self.service.jobs:
                    self.service.end(list(self.service.jobs)[number % len(self.service.jobs)])
            case "fail", retry_after:
                self.service.errors.append(PixverseTransientError("busy", retry_after=retry_after))


def possible(request: WaitRequest, max_jobs: dict[str, int]) -> bool:
    return request.slots <= sum(
        n for email, n in max_jobs.items() if request.emails is None or email in request.emails
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    max_jobs=st.fixed_dictionaries({email: st.integers(0, 3) for email in ACCOUNTS}),
    script=st.lists(steps, max_size=30),
    submit=st.booleans(),
)
def test_the_gate_keeps_its_promises(max_jobs, script, submit):
    async def play():
        logging.getLogger("airflow_pixverse.gate").setLevel(logging.ERROR)
        random.seed(0)  # the jitter, which is to be the same when hypothesis plays it again
        world = World(max_jobs, submit=submit)
        for step in script:
            world.act(step)
            await asyncio.sleep(step[1] if step[0] == "pass time" else 0)

        # It never admits more than is free beyond what is leased.
        assert world.overshoot == []

        # Once jobs end and nobody else comes, it neither loses nor starves anybody who can be served.
        world.service.errors.clear()
        waiting = [wait for wait in world.waits if not wait.task.done() and possible(wait.request, max_jobs)]
        for _ in range(len(waiting) + 1):
            for job in list(world.service.jobs):
                world.service.end(job)
            await asyncio.sleep(500)  # longer than any backoff and lease
        for wait in waiting:
            assert wait.admitted_at is not None, f"{wait.request} still waits"
        assert world.overshoot == []

        # Who waited longest was first, among those who asked for the same.
        waiting.sort(key=lambda wait: wait.request.waiting_since)  # stable: else as they came
        for first, later in itertools.combinations(waiting, 2):
            if (first.request.slots, first.request.emails) == (later.request.slots, later.request.emails):
                assert first.admitted_at <= later.admitted_at

        # It never polls more than once an interval.
        for earlier, later in zip(world.service.calls, world.service.calls[1:], strict=False):
            assert later - earlier >= 5.0

        # All who are left can never be served; when they go, nothing is left.
        for wait in world.waits:
            wait.task.cancel()
        await asyncio.gather(*(wait.task for wait in world.waits), return_exceptions=True)
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == 1
        assert not world.gate._waiters
        assert not world.gate._newcomers
        calls = len(world.service.calls)
        await asyncio.sleep(1000)
        assert len(world.service.calls) == calls

    run(play())
