"""A DAG that submits, and what becomes of its jobs meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.simulator.errors import UnknownJobError
from tests.helpers.dag_runs import new_dag, run

MODES = {"worker": {"deferrable": False}, "deferrable": {"deferrable": True}}
PROMPT = {"prompt": "a cat"}
PICTURE = b"\x89PNG a picture"
DEFAULTS = {"poke_interval": 0.2, "retries": 1, "retry_delay": 0}
# However slow the machine is: less than the limit of a test, in seconds.
WITHIN = 240
# For jobs that none but the test may end.
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
        PixverseSubmitOperator(task_id="make", **({"payload": PROMPT} | DEFAULTS | kwargs))
    return dag


def submit(**kwargs):
    return run(submitting(**kwargs))


def submit_and_end(sim, how=None, n=1, **kwargs):
    """Submit, and end the jobs meanwhile, as ``ending_jobs`` does."""
    with ending_jobs(sim, how, n):
        return submit(**kwargs)


def submit_mapped(over, **kwargs):
    """Run a DAG with one mapped task, ``make``."""
    with new_dag("mapped") as dag:
        PixverseSubmitOperator.partial(task_id="make", **(DEFAULTS | kwargs)).expand(**over)
    return run(dag)


def run_function(function, *args, over=None, **kwargs):
    """
    Run a DAG with one task, which is named like its function and submits what that returns.

    :param over: what the task is mapped over; None for a task that is not mapped.
    """
    with new_dag("decorated") as dag:
        decorated = task.pixverse(**(DEFAULTS | kwargs))(function)
        decorated.expand(**over) if over else decorated(*args)
    return run(dag)


def posts(sim):
    """The submits that came, whatever became of them."""
    return [one for one in sim.requests if one.method == "POST"]


def downloads(sim):
    """The requests for files."""
    return [one for one in sim.requests if one.path.startswith("/media/")]


def prompts(sim):
    """Return the jobs that have been submitted, and are paid for."""
    return [job.payload["prompt"] for job in sim.submitted()]


@contextmanager
def ending_jobs(sim, outcome=None, n=1):
    """End the jobs that are submitted, once there are ``n``."""
    if outcome:  # also if they end by themselves before that
        sim.set_fate(PROMPT["prompt"], outcome)

    def end():
        sim.wait_for_submitted(n, WITHIN)
        for job in sim.submitted():
            with suppress(UnknownJobError):  # it has ended by itself
                sim.end_job(job.id, outcome)

    with elsewhere(end):
        yield


@contextmanager
def ending_jobs_once_listed(sim):
    """End the jobs that are submitted, once a list with them has been asked for."""

    def end():
        sim.wait_for_submitted(1, WITHIN)
        sim.wait_for_requests(sim.request_count + 2, WITHIN)
        sim.end_all_jobs()

    with elsewhere(end):
        yield
