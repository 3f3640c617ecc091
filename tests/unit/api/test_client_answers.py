"""What the client makes of the API's answers, in every dated revision."""

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.api.models import accounts_with_room
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
    [
        [],
        [{"available": 1}],
        7,
        "text",
        {"available": "soon"},
        {"available": {}},
        {"executing": {"id": "x"}},
    ],
)
def test_a_body_of_another_shape_is_transient_trouble(sim, client, body):
    sim.respond_with("scheduler/available", body)
    with pytest.raises(PixverseTransientError, match="another shape"):
        client.get_capacity()


@pytest.mark.parametrize("body", [{}, {"executing": []}, 7, "text"])
def test_a_list_of_another_shape_is_transient_trouble(sim, client, body):
    sim.respond_with("scheduler/", body)
    with pytest.raises(PixverseTransientError, match="another shape"):
        client.list_executing()


@pytest.mark.parametrize(
    "odd",
    [
        {"executing": [{"id": "x", "replyRef": {"a": 1}, "replyUrl": [], "elapsed": False}]},
        {"executing": [{"id": {"a": 1}, "type": True, "email": [1], "started": 5}]},
        {"executing": [None, 7, "id", []]},
        {
            "available": [
                {"email": EMAIL, "maxJobs": 2.5},
                {"maxJobs": "many"},
                {"maxJobs": -3},
                {"maxJobs": None},
            ]
        },
        {"available": [{"email": {}, "maxJobs": {}, "executing": "x", "available": [1]}]},
        {"available": [None, 7, "soon", []]},
    ],
)
def test_an_odd_entry_does_not_hide_a_free_slot(sim, client, odd):
    free = {"email": "free@example.com", "maxJobs": 8, "executing": 5, "available": 2}
    body = {**odd, "available": [*odd.get("available", []), free]}
    sim.respond_with("scheduler/available", body)
    assert accounts_with_room(client.get_capacity(), 2)[0].email == "free@example.com"
    sim.respond_with("scheduler/", [*odd.get("executing", []), {"id": "good"}])
    assert client.list_executing()[-1].id == "good"


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
