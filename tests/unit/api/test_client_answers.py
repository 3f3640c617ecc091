"""What the client makes of the API's answers, in every dated revision."""

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.simulator import Simulator

REVISIONS = ["2024-12-06", "2026-03-09", "2026-06-24"]
EMAIL = "a-1@example.com"


@pytest.fixture
def client(sim):
    with PixverseClient(sim.token, sim.url, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_revision_gives_the_same_models(revision):
    with Simulator({EMAIL: 3, "b@example.com": 2}, schema=revision) as sim:
        job_id = sim.start_job(EMAIL, reply_url="https://example.com/done", reply_ref="mine")
        with PixverseClient(sim.token, sim.url) as client:
            [job] = client.list_executing()
            capacity = client.get_capacity()
    assert job.id == job_id
    assert (job.type, job.email) == ("video", EMAIL)
    assert (job.reply_url, job.reply_ref) == ("https://example.com/done", "mine")
    assert job.started_at is not None
    assert capacity.executing[0].id == job_id
    assert [(account.email, account.available) for account in capacity.accounts] == [
        (EMAIL, 2),
        ("b@example.com", 2),
    ]


def test_the_paths_are_those_of_the_documents(sim, client):
    client.list_executing()
    client.get_capacity()
    assert [(request.method, request.path) for request in sim.requests] == [
        ("GET", "/v2/pixverse/scheduler/"),
        ("GET", "/v2/pixverse/scheduler/available"),
    ]


def test_the_sample_of_the_documents_is_read(sim, client):
    sim.respond_with(
        "scheduler/available",
        {
            "executing": [
                {"video_id": "user:user_id-pixverse:email-video:id1", "started": "2024-09-25T01:55:16.128Z"}
            ],
            "available": [{"email": "<email_2>", "maxJobs": 8, "executing": 3, "available": 2}],
        },
    )
    capacity = client.get_capacity()
    assert capacity.executing[0].id == "user:user_id-pixverse:email-video:id1"
    assert capacity.executing[0].email == "email"
    assert capacity.free_slots() == 2, "available counts, not maxJobs - executing"


@pytest.mark.parametrize("body", [{}, {"executing": None, "available": None}, {"available": []}])
def test_a_capacity_that_says_nothing_has_no_slots(sim, client, body):
    sim.respond_with("scheduler/available", body)
    assert client.get_capacity().free_slots() == 0


@pytest.mark.parametrize(
    "body",
    [{"available": [7]}, {"available": "soon"}, {"executing": ["id"]}, {"available": [{"maxJobs": "x"}]}, 7],
)
def test_a_body_of_another_shape_is_transient_trouble(sim, client, body):
    sim.respond_with("scheduler/available", body)
    with pytest.raises(PixverseTransientError, match="another shape"):
        client.get_capacity()


@pytest.mark.parametrize("body", [{}, {"executing": []}, [None], ["id"], "text"])
def test_a_list_of_another_shape_is_transient_trouble(sim, client, body):
    sim.respond_with("scheduler/", body)
    with pytest.raises(PixverseTransientError, match="another shape"):
        client.list_executing()


def test_unknown_fields_and_types_pass_through(sim, client):
    sim.respond_with("scheduler/", [{"id": "x", "type": "speech", "mood": {"deep": [None, 1]}, "gone": None}])
    [job] = client.list_executing()
    assert job.to_xcom() == {
        "id": "x",
        "type": "speech",
        "email": None,
        "started": None,
        "elapsed": None,
        "replyUrl": None,
        "replyRef": None,
        "mood": {"deep": [None, 1]},
        "gone": None,
    }
