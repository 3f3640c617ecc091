"""
Random histories of one folder: kills, lost answers, edited tables, rows that are made again, two processes.

No row has two accepted jobs, unless the first has failed and it was to be made again.
"""

import contextlib
import itertools
import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_pixverse.batch.looks import SharedLooks
from airflow_pixverse.journal.folder import FolderJournal
from airflow_pixverse.simulator import Simulator, faults
from tests.unit.batch.conftest import Batch, prompts

FAULTS = {"lost after": faults.lost_answer, "lost before": faults.lost_request, "refused": faults.rate_limit}


class KilledError(BaseException):
    """The process is gone: nothing of it is written or sent any more."""


class Fuse:
    """
    Lets a process die.

    :param steps: how many writes and submits it makes before that; each may be the last, done or not.
    """

    def __init__(self, steps, *, is_done):
        self._steps = itertools.count(1)
        self._last = steps
        self._is_done = is_done

    def burn(self, step):
        """Do a step, unless the process is dead by then."""
        number = next(self._steps)
        if number > self._last:
            raise KilledError
        if number == self._last and not self._is_done:
            raise KilledError
        value = step()
        if number == self._last:
            raise KilledError
        return value


@st.composite
def runs(draw):
    """Tables of runs, each with what goes wrong in it."""
    return [
        {
            "rows": draw(st.lists(st.integers(0, 5), min_size=1, max_size=6)),
            "faults": draw(st.lists(st.sampled_from([None, None, *FAULTS]), max_size=4)),
            "steps": draw(st.integers(1, 20)),
            "is_done": draw(st.booleans()),
            "failing": draw(st.sets(st.integers(0, 5), max_size=2)),
            "remake": draw(st.sampled_from([frozenset(), frozenset({"failed"})])),
            "processes": draw(st.integers(1, 2)),
        }
        for _ in range(draw(st.integers(1, 3)))
    ]


@pytest.mark.usefixtures("short_pauses")
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=runs())
def test_no_history_pays_twice_for_a_row_or_loses_one(history, tmp_path_factory, monkeypatch):
    batch = Batch(tmp_path_factory.mktemp("history") / "folder")
    with Simulator({"a@example.com": 3, "b@example.com": 3}, job_seconds=(0.05, 0.2)) as sim:
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))
        for number, one in enumerate(history):
            sim.clear_faults()
            sim.clear_fates()
            for row in one["failing"]:
                sim.set_fate(f"cat {row}", "failed")
            for name in one["faults"]:
                sim.inject(FAULTS[name]() if name else faults.slow(0), times=1, method="POST")
            run_until_killed(batch, one, run=f"run {number}")
        sim.clear_faults()
        sim.clear_fates()
        everything = prompts(*sorted({row for one in history for row in one["rows"]}))
        remake = frozenset({"failed"})
        with contextlib.suppress(AirflowException):  # jobs that it brings home may have failed
            batch(everything, run="last but one", poke_interval=0.05, remake=remake)
        try:
            batch(everything, run="last", poke_interval=0.05, remake=remake)
        except AirflowException:
            assert "unknown" in batch.statuses
        assert {"stored", "unknown"} >= set(batch.statuses)
        outcomes = defaultdict(list)
        for job in sim.submitted():
            outcomes[job.payload["prompt"]].append(job.outcome.name)
        for prompt, of_row in outcomes.items():
            *earlier, _ = of_row
            assert set(earlier) <= {"FAILED"}, (prompt, of_row)


def run_until_killed(batch, one, *, run):
    """Run a table with processes that die together."""
    fuse = Fuse(one["steps"], is_done=one["is_done"])
    write, submit = FolderJournal._write_object, SharedLooks.submit

    def process(number):
        with contextlib.suppress(KilledError, AirflowException):
            other = Batch(batch.folder)
            other(prompts(*one["rows"]), run=f"{run} {number}", poke_interval=0.05, remake=one["remake"])

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as threads:
        patch.setattr(FolderJournal, "_write_object", lambda *args: fuse.burn(lambda: write(*args)))
        patch.setattr(SharedLooks, "submit", lambda *args: fuse.burn(lambda: submit(*args)))
        list(threads.map(process, range(one["processes"])))
