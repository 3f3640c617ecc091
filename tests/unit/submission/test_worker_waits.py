"""Waits for a slot on workers, which know nothing of each other. They have a clock of their own."""

import heapq
import inspect
import itertools
import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.gate import suspicion
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.simulator import faults

FIVE_SLOTS = {"a-1@example.com": 3, "a-2@example.com": 2}
# Between a look and the arrival of the submit that follows.
POST_SECONDS = 0.2
JOB_SECONDS = 60


class Workers:
    """
    Workers of which one at a time goes on, until it sleeps; their clock goes on while all of them do.

    It stands for the module ``time``.
    """

    def __init__(self):
        self.now = 1_000_000.0
        self._sleeping = []
        self._numbers = itertools.count()

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        awake = self._falls_asleep(seconds)
        self._wake_next()
        awake.wait()

    def run(self, *functions):
        """Run each function on a worker of its own, and return what they return."""

        def work(function, awake):
            awake.wait()
            try:
                return function()
            finally:
                self._wake_next()

        with ThreadPoolExecutor(len(functions)) as threads:
            futures = [threads.submit(work, function, self._falls_asleep(0)) for function in functions]
            self._wake_next()
            return [future.result() for future in futures]

    def _falls_asleep(self, seconds):
        awake = threading.Event()
        heapq.heappush(self._sleeping, (self.now + max(0.0, seconds), next(self._numbers), awake))
        return awake

    def _wake_next(self):
        if self._sleeping:
            self.now, _, awake = heapq.heappop(self._sleeping)
            awake.set()


@pytest.fixture
def workers(monkeypatch):
    workers, submit = Workers(), PixverseClient.submit

    def submit_later(*args):
        workers.sleep(POST_SECONDS)
        return submit(*args)

    for module in ("submission.worker_waits", "waits.submit_state"):
        monkeypatch.setattr(f"airflow_pixverse.{module}.time", workers)
    monkeypatch.setattr(PixverseClient, "submit", submit_later)
    random.seed(24)
    return workers


@pytest.fixture
def a_minute(monkeypatch):
    """A second look is due after a minute, as for users."""
    monkeypatch.setattr(suspicion, "SECOND_LOOK", 60.0)


def submit(prompt="a cat", **kwargs):
    """Submit a job as a task does that waits for a slot on its worker, and return the id."""
    task = PixverseSubmitOperator(
        task_id="make",
        payload={"prompt": prompt},
        deferrable=False,
        durable=False,
        wait_for_completion=False,
        report_credits=False,
        **kwargs,
    )
    ids = {"dag_id": "workers", "run_id": "run", "task_id": "make", "map_index": -1}
    ti = SimpleNamespace(**ids, try_number=1, max_tries=0, xcom_push=lambda **_: None)
    # Without Airflow 2's guard, which knows the main thread only.
    execute = inspect.unwrap(type(task).execute)
    return execute(task, {"ti": ti, "dag_run": SimpleNamespace(id=1)})["id"]


def refusals(sim):
    return [one for one in sim.requests if one.status == 429]


@pytest.mark.pixverse_simulator(accounts=FIVE_SLOTS, job_seconds=(3600, 3600))
def test_sixteen_workers_submit_forty_jobs_to_five_slots_with_few_refusals(sim, workers):
    """They start together, and find the same free slots."""
    prompts = iter([f"prompt {number}" for number in range(40)])

    def work():
        for prompt in prompts:
            job = submit(prompt, max_refusals=1000)
            workers.sleep(JOB_SECONDS)
            sim.end_job(job)

    workers.run(*[work] * 16)
    assert len(sim.submitted()) == 40
    assert len(refusals(sim)) <= 10


@pytest.mark.pixverse_simulator(job_seconds=(3600, 3600))
def test_who_is_refused_together_comes_back_in_the_order_in_which_they_began(sim, workers):
    sim.fill()
    sim.inject(faults.rate_limit(), times=3, method="POST")
    # The last to begin is the first to look once there are free slots.
    begins = {"first": 0, "second": 10.03, "third": 20.06}

    def task(prompt, begins_after):
        workers.sleep(begins_after)
        submit(prompt, poke_interval=0.1)

    def free_slots():
        workers.sleep(30.05)
        sim.end_all_jobs()

    workers.run(free_slots, *[lambda one=one: task(*one) for one in begins.items()])
    assert [job.payload["prompt"] for job in sim.submitted()] == list(begins)
    assert len(refusals(sim)) == 3


@pytest.mark.pixverse_simulator(job_seconds=(3600, 3600))
def test_what_is_refused_although_slots_look_free_pauses_for_longer_and_longer(sim, workers):
    """Somebody has taken them on the website, which the service does not list."""
    sim.inject(faults.rate_limit(), times=5, method="POST")
    began = workers.now
    workers.run(submit)
    assert workers.now - began >= (5 + 10 + 20 + 40 + 80) / 2


def test_retry_after_is_honoured_after_a_refusal(sim, workers):
    sim.inject(faults.rate_limit(retry_after=120), times=1, method="POST")
    began = workers.now
    workers.run(submit)
    assert workers.now - began >= 120


def test_a_token_that_is_refused_for_a_minute_ends_the_try_and_may_be_retried(sim, workers, a_minute):
    sim.token = "user:2-rotated"
    began = workers.now
    with pytest.raises(AirflowException, match="check the API token") as caught:
        workers.run(submit)
    assert not isinstance(caught.value, AirflowFailException)
    assert 60 <= workers.now - began < 60 + 2 * 15
    assert len(sim.requests) > 2, "it may work again at any moment"


def test_a_token_that_is_replaced_meanwhile_is_read_and_submitted_with(sim, workers, a_minute, monkeypatch):
    sim.token = "user:2-rotated"

    def replace():
        workers.sleep(40)
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))

    workers.run(submit, replace)
    assert len(sim.submitted()) == 1


def test_a_wait_that_times_out_meanwhile_names_the_error(sim, workers, a_minute):
    sim.token = "user:2-rotated"
    with pytest.raises(
        AirflowException, match=r"no free slot within capacity_timeout; last API error: .*401"
    ):
        workers.run(lambda: submit(capacity_timeout=20))
