"""What runs inside Airflow: DAGs with ``dag.test()``, on the simulator."""

import re

import pytest


@pytest.fixture(autouse=True)
def _database(airflow_db):
    """Every test here runs DAGs."""


@pytest.fixture(autouse=True)
def _quick_second_looks(monkeypatch):
    """What is only believed once it has been seen twice is looked at again soon."""
    monkeypatch.setattr("airflow_pixverse.gate.pacing._SECOND_LOOK", 0.2)
    monkeypatch.setattr("airflow_pixverse.hooks.lookup.SECOND_LOOK_AFTER", 0.2)
    monkeypatch.setattr("airflow_pixverse.triggers.job_follower._SECOND_LOOK", 0.2)


@pytest.fixture
def logged(caplog, capfd):
    """
    Return all that has been logged so far as one line, wherever this version of Airflow logs to.

    Airflow 3.0 draws tracebacks in boxes, and breaks their lines.
    """
    caplog.set_level("INFO")
    printed = []

    def text():
        captured = capfd.readouterr()
        printed.append(captured.out + captured.err)
        return re.sub(r"[\s│]+", " ", caplog.text + "".join(printed))

    return text
