"""Many waits at once: one poll for all of them, one release for each slot, first come first served."""

import time
from importlib.metadata import version

import pytest

from tools.real_airflow import PATIENCE

AIRFLOW = tuple(map(int, version("apache-airflow").split(".")[:2]))
without_a_worker = pytest.mark.skipif(AIRFLOW < (3, 3), reason="start_from_trigger needs a worker here")
ordinary_deferral = pytest.mark.skipif(AIRFLOW >= (3, 0), reason="tried on Airflow 2, at a size that fits")


class Crowd:
    """The waits of a DAG run, and the full service whose slots they wait for."""

    def __init__(self, airflow, simulator, dag_id, *, size, interval):
        self.airflow = airflow
        self.simulator = simulator
        self.size = size
        self.interval = interval
        self.jobs = [job.id for job in simulator.service.snapshot().jobs]
        self.run = airflow.trigger(dag_id)

    @property
    def waits(self):
        """The task instances, in the order in which they began to wait."""
        return sorted(self.airflow.outcome(self.run), key=lambda wait: wait.start_date)

    @property
    def ended(self):
        """Ids of the tasks that have ended, in the order in which they began to wait."""
        return [wait.task_id for wait in self.waits if wait.state == "success"]

    def log_of(self, wait):
        """Return the log of its trigger, with lines that came when Airflow 3.4 had closed it, in its own."""
        triggerer = (self.airflow.home / "components" / "triggerer.log").read_text(errors="replace")
        name = f"name='{self.run.dag_id}/{self.run.run_id}/{wait}/"
        late = [line for line in triggerer.splitlines() if name in line]
        return "\n".join([self.airflow.trigger_log(self.run, wait), *late])

    def first(self, number):
        """Return the ids of the tasks that began first."""
        return [wait.task_id for wait in self.waits][:number]

    def wait_until_gathered(self):
        """Wait until the log of each names its place in the queue of the present triggerer."""
        logs = self.airflow.home / "logs" / f"dag_id={self.run.dag_id}"
        known = self.airflow.metadata.last_job_id("TriggererJob")

        def waiting():
            files = logs.rglob(f"*.trigger.{known}.log")
            return sum("Waiting for" in file.read_text() for file in files)

        self.airflow.wait_until(
            lambda: waiting() == self.size, lambda: f"all {self.size} queue, not {waiting()}"
        )
        assert {wait.state for wait in self.waits} == {"deferred"}

    def wait_until_ended(self, number):
        """Wait until this number has ended, and check that these are the ones that began first."""
        self.airflow.wait_until(
            lambda: len(self.ended) >= number, lambda: f"{number} have ended: {self.ended}"
        )
        assert self.ended == self.first(number)

    def wait_for_polls(self, number):
        """Wait until the service has got this many more requests, and has answered all but the last."""
        self.simulator.wait_for_requests(self.simulator.request_count + number, timeout=PATIENCE)

    def free(self, number):
        """End this number of the jobs that take up the slots."""
        for job in self.jobs[:number]:
            self.simulator.end_job(job)
        del self.jobs[:number]

    def submit(self, number):
        """Start this number of jobs, as tasks after the waits would; one without a slot would be refused."""
        self.jobs += [self.simulator.start_job() for _ in range(number)]

    def assert_shares_one_poll(self, since, until, triggerers=1):
        """Check that each triggerer made at most one call per interval between two monotonic times."""
        calls = [request for request in self.simulator.requests if since <= request.monotonic <= until]
        assert all(call.path.endswith("/scheduler/available") for call in calls)
        assert triggerers <= len(calls) <= (until - since) / self.interval + triggerers

    def assert_each_ended_once(self, worker_runs):
        """Check that each succeeded in its first try, by one event, and how often a worker ran it."""
        assert [wait.ended for wait in self.waits] == [("success", 1)] * self.size
        assert all(isinstance(wait.xcom, list) for wait in self.waits)

        def fired():
            return {wait: self.log_of(wait).count("fired") for wait in self.ended}

        # The triggerer may tell the database of an event before it writes its log.
        self.airflow.wait_until(lambda: 0 not in fired().values(), lambda: f"each has fired: {fired()}")
        assert set(fired().values()) == {1}, fired()
        runs = self.airflow.worker_runs(self.run)
        assert all(runs[wait.task_id, -1] == worker_runs for wait in self.waits)


@without_a_worker
def test_200_waits_cost_one_call_an_interval_and_no_worker_and_end_as_slots_become_free(airflow, crowded):
    began = time.monotonic()
    crowd = Crowd(airflow, crowded["crowd"], "crowd", size=200, interval=4)
    crowd.wait_until_gathered()

    # All of them wait, and share one poll.
    gathered = time.monotonic()
    crowd.wait_for_polls(3)
    crowd.assert_shares_one_poll(gathered, time.monotonic())
    assert crowd.ended == []

    # One slot becomes free: the first of them ends; nobody else, although the slot stays free.
    crowd.free(1)
    crowd.wait_until_ended(1)
    crowd.wait_for_polls(3)
    assert crowd.ended == crowd.first(1)
    [account] = crowd.waits[0].xcom
    assert account["available"] == 1

    # The job starts for which it waited; then all others end as slots come.
    crowd.submit(1)
    crowd.free(99)
    crowd.wait_until_ended(100)
    crowd.wait_for_polls(2)
    assert crowd.ended == crowd.first(100)
    crowd.submit(99)
    crowd.free(100)
    crowd.wait_until_ended(200)
    crowd.assert_each_ended_once(worker_runs=0)
    assert airflow.worker_runs(crowd.run) == {}
    crowd.assert_shares_one_poll(began, time.monotonic())


@without_a_worker
def test_50_waits_survive_the_death_of_their_triggerer_and_keep_their_order(airflow, crowded):
    began = time.monotonic()
    crowd = Crowd(airflow, crowded["interrupted_crowd"], "interrupted_crowd", size=50, interval=1)
    crowd.wait_until_gathered()
    airflow.kill("triggerer")
    # A slot that became free meanwhile is for the first, whoever comes back first.
    crowd.free(1)
    airflow.start_component("triggerer")

    crowd.wait_until_ended(1)
    crowd.submit(1)
    for ended in range(1, 50, 6):
        number = min(6, 50 - ended)
        crowd.free(number)
        crowd.wait_until_ended(ended + number)
        crowd.submit(number)
    crowd.assert_each_ended_once(worker_runs=0)
    assert airflow.worker_runs(crowd.run) == {}
    crowd.assert_shares_one_poll(began, time.monotonic(), triggerers=2)


@ordinary_deferral
def test_deferred_waits_share_one_poll_and_survive_the_death_of_their_triggerer(airflow, crowded):
    began = time.monotonic()
    crowd = Crowd(airflow, crowded["deferred_crowd"], "deferred_crowd", size=12, interval=1)
    crowd.wait_until_gathered()

    crowd.free(1)
    crowd.wait_until_ended(1)
    crowd.wait_for_polls(3)
    assert crowd.ended == crowd.first(1)
    crowd.submit(1)

    crowd.wait_for_polls(2)  # the job has been seen: no lease that could be forgotten is left
    airflow.kill("triggerer")
    crowd.free(1)
    airflow.start_component("triggerer")
    crowd.wait_until_ended(2)
    crowd.submit(1)
    for ended in (2, 7):
        crowd.free(5)
        crowd.wait_until_ended(ended + 5)
        crowd.submit(5)
    crowd.assert_each_ended_once(worker_runs=2)  # to defer, and to resume
    crowd.assert_shares_one_poll(began, time.monotonic(), triggerers=2)
