"""The fixture ``pixverse_simulator`` as a user's tests see it; tests/packaging runs whole sessions."""

import json
import os

import pytest
import requests

from airflow_pixverse.simulator import Simulator


def capacity(simulator):
    return requests.get(
        f"{simulator.url}/v2/pixverse/scheduler/available",
        headers={"Authorization": f"Bearer {simulator.token}"},
        timeout=60,
    ).json()["available"]


def test_the_default_connection_leads_to_a_running_simulator(pixverse_simulator):
    connection = json.loads(os.environ["AIRFLOW_CONN_PIXVERSE_DEFAULT"])
    assert connection == pixverse_simulator.connection
    assert connection["host"] == pixverse_simulator.url
    assert [account["available"] for account in capacity(pixverse_simulator)] == [3, 3]


def test_no_connection_is_left_behind():
    assert "AIRFLOW_CONN_PIXVERSE_DEFAULT" not in os.environ


def test_jobs_that_are_submitted_end_within_two_seconds(pixverse_simulator):
    pixverse_simulator.service.start("video")
    [job] = pixverse_simulator.service.snapshot().jobs
    assert 1 <= job.ends - job.started <= 2


@pytest.mark.pixverse_simulator(
    accounts={"studio@example.com": 2}, conn_id="pixverse_studio", token="user:7-x"
)
class TestMarkedClass:
    def test_the_marker_sets_the_options_and_the_connection(self, pixverse_simulator):
        assert json.loads(os.environ["AIRFLOW_CONN_PIXVERSE_STUDIO"])["password"] == "user:7-x"
        [account] = capacity(pixverse_simulator)
        assert (account["email"], account["available"]) == ("studio@example.com", 2)

    @pytest.mark.pixverse_simulator(busy=3600)
    def test_a_marker_of_the_test_adds_to_that_of_its_class(self, pixverse_simulator):
        [account] = capacity(pixverse_simulator)
        assert (account["email"], account["available"]) == ("studio@example.com", 0)


@pytest.mark.pixverse_simulator(job_seconds=None)
def test_jobs_can_be_endless(pixverse_simulator: Simulator):
    pixverse_simulator.service.start("video")
    [job] = pixverse_simulator.service.snapshot().jobs
    assert job.ends == float("inf")
