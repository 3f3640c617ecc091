"""A contest: batches and others who want the slots of one account, in time that a test makes pass."""

import heapq
import itertools
from collections import Counter

from airflow_pixverse.api import reply_ref
from airflow_pixverse.api.scheduler import ExecutingJob
from airflow_pixverse.batch.fair_share import FairShares
from airflow_pixverse.submission.request import TaskName, task_prefix

EMAIL = "a@example.com"
_ids = itertools.count()


def prefix(dag_id, *, run="run", task="make", index=-1):
    """The beginning of the references of a task."""
    return task_prefix(TaskName(dag_id, run, task, index))


def job(of, email=EMAIL):
    """A job that has just started, of a task with this prefix; None for one without a reference."""
    reference = of and reply_ref.join(of, reply_ref.new_random_part())
    return ExecutingJob(id=f"job {next(_ids)}", email=email, reply_ref=reference)


class Clock:
    """The clock of the module, which a test sets."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


class Service:
    """An account whose jobs take these seconds, one after the other."""

    def __init__(self, clock, slots, durations):
        self.clock, self.slots = clock, slots
        self.jobs, self.starts = {}, Counter()
        self.taken_at = 0.0
        """When a slot was taken, or when none was free."""
        self._ends, self._durations = [], itertools.cycle(durations)

    @property
    def free(self):
        return self.slots - len(self.jobs)

    def start(self, name, of):
        new = job(of)
        self.jobs[new.id] = new
        heapq.heappush(self._ends, (self.clock.now + next(self._durations), new.id))
        self.starts[name] += 1
        self.taken_at = self.clock.now

    def run(self, seconds, parties):
        """Let some time pass, half a second at a time, and yield after each."""
        ends = self.clock.now + seconds
        while self.clock.now < ends:
            while self._ends and self._ends[0][0] <= self.clock.now:
                del self.jobs[heapq.heappop(self._ends)[1]]
            for party in parties:
                party.act(self)
            if not self.free:
                self.taken_at = self.clock.now
            yield
            self.clock.now += 0.5


class Batch:
    """A batch that always has rows, and looks as its loop does."""

    def __init__(self, name, of=None):
        self.name, self.prefix = name, of or prefix(name, task="campaign")
        self._shares, self._next_look = FairShares(self.prefix, None), 0.0
        self._late = itertools.cycle((0.0, 0.5, 0.0, 0.0, 0.5, 1.0, 0.5))  # as calls take their time

    def act(self, service):
        now = service.clock.now
        if now < self._next_look:
            return
        self._shares.see(service.jobs.values())
        free = Counter({EMAIL: service.free} if service.free else {})
        for _ in range(self._shares.take_turns(free)[EMAIL]):
            service.start(self.name, self.prefix)
            self._shares.record_sent(EMAIL)
            self._shares.record_accepted(EMAIL, ["its job"])
        self._next_look = now + (2.0 if self._shares.is_shared else 5.0) + next(self._late)


class Waits:
    """
    The waits of a DAG at a gate, which take all slots that have been free for their delay.

    :param most: of which so many have jobs at once; None for any number.
    """

    def __init__(self, name, delay, most=None):
        self.name, self.prefix = name, prefix(name)
        self._delay, self._most, self._free_since = delay, most, None
        self.is_over = False

    def act(self, service):
        running = sum(job.reply_ref.startswith(self.prefix) for job in service.jobs.values() if job.reply_ref)
        room = service.free if self._most is None else min(service.free, self._most - running)
        if self.is_over or room <= 0:
            self._free_since = None
            return
        now = service.clock.now
        self._free_since = now if self._free_since is None else self._free_since
        if now - self._free_since >= self._delay:
            for _ in range(room):
                service.start(self.name, self.prefix)
            self._free_since = None
