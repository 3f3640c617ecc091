"""Every example DAG is run as it is."""

import importlib
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.dag_runs import AIRFLOW, run

FOLDER = Path(__file__).parents[2] / "example_dags"


@pytest.fixture
def example(monkeypatch):
    """A function that loads an example DAG by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name):
        module = importlib.reload(sys.modules[name]) if name in sys.modules else importlib.import_module(name)
        return module.dag

    return load


def test_every_example_has_a_test():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_pixverse_")}
    assert {path.stem for path in FOLDER.glob("*.py")} == tested


@pytest.mark.skipif(AIRFLOW.release >= (3, 0), reason="tests/e2e runs it, with a triggerer that watches")
def test_pixverse_on_capacity(example):
    with pytest.raises(AttributeError, match="dag"):
        example("pixverse_on_capacity")  # imports, and has no DAG: Airflow 2 has no asset watchers


def test_pixverse_wait_then_list(sim, example):
    *_, job = sim.fill()
    sim.end_job(job)
    outcome = run(example("pixverse_wait_then_list"))
    assert [account["available"] for account in outcome.xcom("wait_for_slot")] == [1]
    assert len(outcome.xcom("list_executing")) == 5


def test_pixverse_skip_when_busy(sim, example):
    sim.fill()
    outcome = run(example("pixverse_skip_when_busy"))
    assert (outcome.state("wait_for_two_slots"), outcome.state("list_executing")) == ("skipped", "skipped")
    sim.end_all_jobs()
    outcome = run(example("pixverse_skip_when_busy"))
    assert (outcome.state("wait_for_two_slots"), outcome.state("list_executing")) == ("success", "success")


def test_pixverse_map_over_executing(sim, example):
    stuck = sim.start_job("a-1@example.com", started=datetime.now(UTC) - timedelta(hours=1))
    sim.start_job("a-1@example.com")
    outcome = run(example("pixverse_map_over_executing"))
    [report] = outcome.xcoms["report"]
    assert report.startswith(f"{stuck} of a-1@example.com has been executing since")
