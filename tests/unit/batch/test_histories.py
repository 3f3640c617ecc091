"""Random histories of one folder: kills, lost answers, edited tables; no row has two accepted jobs."""

import contextlib
import itertools
import json
from collections import Counter

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
            for name in one["faults"]:
                sim.inject(FAULTS[name]() if name else faults.slow(0), times=1, method="POST")
            run_until_killed(batch, one, run=f"run {number}")
        sim.clear_faults()
        everything = prompts(*sorted({row for one in history for row in one["rows"]}))
        try:
            batch(everything, run="last", poke_interval=0.05)
        except AirflowException:
            assert "unknown" in batch.statuses
        assert {"stored", "unknown"} >= set(batch.statuses)
        assert max(Counter(job.payload["prompt"] for job in sim.submitted()).values(), default=0) <= 1


def run_until_killed(batch, one, *, run):
    """Run a table with a process that dies."""
    fuse = Fuse(one["steps"], is_done=one["is_done"])
    write, submit = FolderJournal._write_text, SharedLooks.submit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderJournal, "_write_text", lambda *args: fuse.burn(lambda: write(*args)))
        patch.setattr(SharedLooks, "submit", lambda *args: fuse.burn(lambda: submit(*args)))
        with contextlib.suppress(KilledError, AirflowException):
            batch(prompts(*one["rows"]), run=run, poke_interval=0.05)
