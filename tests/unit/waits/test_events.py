"""The events that end waits."""

import json

import pytest

from airflow_pixverse.gate.awaited_job import AwaitedJob
from airflow_pixverse.waits.events import ticket_event


def test_ticket_of_an_early_admission_names_the_job_that_it_waits_for_in_plain_json():
    event = ticket_event(
        [], reference="r", lease=120, waiting_since=1.0, ahead=[], awaited=AwaitedJob("7", 20.5, 1)
    )
    ticket = json.loads(json.dumps(event))["ticket"]
    assert ticket["awaited"] == {"job": "7", "usual": 20.5, "refused": 1}
    assert AwaitedJob.from_json(ticket["awaited"]) == AwaitedJob("7", 20.5, 1)


def test_awaited_job_of_an_earlier_version_knows_of_no_refusals():
    assert AwaitedJob.from_json({"job": "7", "usual": 20.5}) == AwaitedJob("7", 20.5, 0)


@pytest.mark.parametrize(
    "value", [None, {"job": "7"}, {"job": 7, "usual": 20.0}, {"job": "7", "usual": "long"}]
)
def test_awaited_job_of_another_version_is_none(value):
    assert AwaitedJob.from_json(value) is None
