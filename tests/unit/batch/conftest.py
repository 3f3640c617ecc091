"""Batches that run without Airflow's scheduler, on the simulator."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_pixverse.batch.room import Limits
from airflow_pixverse.batch.rows import RowPlan
from airflow_pixverse.batch.run import BatchParameters, BatchRun
from airflow_pixverse.batch.template import fill
from airflow_pixverse.journal import TaskTry
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission import lost_jobs
from airflow_pixverse.waits import submit_state

PAYLOAD = {"prompt": "{prompt}"}


class Batch:
    """
    A batch of one folder.

    :param folder: a local folder.
    """

    def __init__(self, folder):
        self.folder = folder
        self.xcoms = {}
        self.runs = []

    def new_run(self, table, *, run="run", payload=PAYLOAD, plan=None, limits=None, **parameters):
        """Return a run of a table, which has not begun; ``run`` is the id of its DAG run."""
        make = payload if callable(payload) else lambda columns: fill(payload, columns)
        defaults = {
            "table": table,
            "plan": RowPlan(**({"payload": make, "endpoint": "videos/create"} | (plan or {}))),
            "folder": self.folder.as_uri(),
            "pixverse_conn_id": "pixverse_default",
            "limits": Limits(**(limits or {})),
            "max_bytes": 10**9,
            "max_credits": None,
            "min_credits": None,
            "poke_interval": 0.1,
            "completion_timeout": 3600.0,
            "remake": frozenset(),
            "fail_on": "any",
            "manifest": "campaign.csv",
        }
        task_try = TaskTry("dag", run, "campaign", -1, 1, 0)
        new = BatchRun(BatchParameters(**(defaults | parameters)), task_try, self.xcoms.__setitem__)
        self.runs.append(new)
        return new

    def __call__(self, table, **kwargs):
        """Run a table, and return the summary."""
        return self.new_run(table, **kwargs).run()

    @property
    def rows(self):
        """The rows of the last run."""
        return self.runs[-1].rows

    @property
    def statuses(self):
        """The status of each row of the last run."""
        return [row.status.value for row in self.rows]

    def records(self, state="*"):
        """The files of records in a state."""
        return sorted(self.folder.glob(f".pixverse/*/*.{state}"))

    def wait_for_record(self, state):
        """Wait until there is a record in a state."""
        while not self.records(state):
            time.sleep(0.01)


@pytest.fixture
def batch(sim, tmp_path):
    """A batch in an empty folder."""
    return Batch(tmp_path / "folder")


@pytest.fixture
def short_pauses(monkeypatch):
    """Pauses and looks for lost jobs that take a moment."""
    monkeypatch.setattr(submit_state, "_FIRST_BACKOFF", 0.1)
    monkeypatch.setattr(lost_jobs, "TIMING", dataclasses.replace(lost_jobs.TIMING, look_for=1.0, every=0.1))


def prompts(*numbers):
    """A table of prompts."""
    return [{"prompt": f"cat {number}"} for number in numbers]


def leave_unknown(sim, batch):
    """Run a batch of one row, of which it cannot be known whether it is paid for."""
    sim.inject(faults.lost_request(code=200, body={}), times=1, method="POST")
    with pytest.raises(AirflowFailException):
        batch(prompts(1))


def posts(sim):
    """The submits that came, whatever became of them."""
    return [one for one in sim.requests if one.method == "POST" and "create" in one.path]


def paid(sim):
    """The prompts that are paid for, in order."""
    return sorted(job.payload["prompt"] for job in sim.submitted())


@contextmanager
def running(run):
    """Run a batch in another thread, and yield its future."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(run.run)


def kill_after(wait, run):
    """Run a batch, and end it from outside once a wait for something is over."""
    with running(run) as future:
        wait()
        run.kill()
        with pytest.raises(AirflowException, match="ended from outside"):
            future.result()
