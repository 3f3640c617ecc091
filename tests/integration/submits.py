"""A DAG that submits, and what becomes of its jobs meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.simulator.state import UnknownJobError
from tests.integration.dag_runs import new_dag, run

MODES = {"worker": {"deferrable": False}, "deferrable": {"deferrable": True}}
PROMPT = {"prompt": "a cat"}
# For jobs that none but the test may end, however slow the machine is.
ended_by_hand = pytest.mark.pixverse_simulator(job_seconds=(600, 600))


@contextmanager
def elsewhere(function):
    """Do something at the same time."""
    with ThreadPoolExecutor() as threads:
        future = threads.submit(function)
        yield
        future.result()


def submitting(**kwargs):
    """A DAG with one task, ``make``, which has one retry."""
    with new_dag("submit") as dag:
        defaults = {"payload": PROMPT, "poke_interval": 0.2, "retries": 1, "retry_delay": 0}
        PixverseSubmitOperator(task_id="make", **(defaults | kwargs))
    return dag


def submit(**kwargs):
    return run(submitting(**kwargs))


def posts(sim):
    """The submits that came, whatever became of them."""
    return [one for one in sim.requests if one.method == "POST"]


def prompts(sim):
    """What has been submitted, and is paid for."""
    return [job.payload["prompt"] for job in sim.submitted()]


@contextmanager
def ending_jobs(sim, outcome=None, n=1):
    """End the jobs that are submitted, once there are ``n``."""
    if outcome:  # also if they end by themselves before that
        sim.set_fate(PROMPT["prompt"], outcome)

    def end():
        sim.wait_for_submitted(n)
        for job in sim.submitted():
            with suppress(UnknownJobError):  # it has ended by itself
                sim.end_job(job.id, outcome)

    with elsewhere(end):
        yield


@contextmanager
def ending_jobs_once_listed(sim):
    """End the jobs that are submitted, once a list with them has been asked for."""

    def end():
        sim.wait_for_submitted(1)
        sim.wait_for_requests(sim.request_count + 2)
        sim.end_all_jobs()

    with elsewhere(end):
        yield
