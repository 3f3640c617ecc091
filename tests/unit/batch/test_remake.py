"""Rows that are unknown, and that somebody has named to be made again."""

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_pixverse.simulator import faults
from tests.unit.batch.conftest import leave_unknown, posts, prompts, running

REMAKE = frozenset({"unknown"})

pytestmark = [
    pytest.mark.pixverse_simulator(job_seconds=(3600, 3600)),
    pytest.mark.usefixtures("short_pauses"),
]


@pytest.fixture
def unknown(sim, batch):
    """The ``replyRef`` of a row that is unknown."""
    leave_unknown(sim, batch)
    [record] = batch.records("unknown")
    return json.loads(record.read_text())["reference"]


def test_its_job_is_looked_for_before_it_is_paid_for_again(sim, batch, unknown):
    job = sim.start_job(reply_ref=unknown)
    run = batch.new_run(prompts(1), run="another", remake=REMAKE)
    with running(run) as future:
        batch.wait_for_record("accepted")
        sim.end_job(job)
        assert future.result()["made"] == 1
    assert len(posts(sim)) == 1


def test_one_that_gets_lost_again_is_not_sent_a_third_time(sim, batch, unknown):
    sim.inject(faults.lost_request(), times=None, method="POST")
    with pytest.raises(AirflowFailException):
        batch(prompts(1), run="another", remake=REMAKE)
    assert batch.statuses == ["unknown"]
    assert len(posts(sim)) == 2
