"""Jobs as a worker polls them, by the list and by their results, on the simulator and a clock of its own."""

import logging

import pytest

from airflow_pixverse.api.errors import PixverseAuthError, PixverseFatalError, PixverseNoResultError
from airflow_pixverse.simulator import faults
from airflow_pixverse.waits.job_poller import JobPoller
from tests.helpers.clients import client_of
from tests.unit.simulator.helpers import A, Clock

log = logging.getLogger("wait")


class Hook:
    """The calls of a hook, made by the simulator's own client."""

    def __init__(self, sim):
        self._sim = sim
        self._client = None

    def read_again(self):
        self._client = None

    def __getattr__(self, name):
        self._client = self._client or client_of(self._sim)
        return getattr(self._client, name)


@pytest.fixture
def clock():
    return Clock(1000.0)


@pytest.fixture
def looks(sim, clock, caplog):
    """A function that polls as a worker does, and returns when results were asked for."""
    caplog.set_level(logging.INFO)
    hook = Hook(sim)

    def follow(poller, seconds, interval=15.0):
        asked, ends = [], clock.now + seconds
        while clock.now < ends and not poller.has_ended:
            before = sim.request_count
            poller.look(hook)
            if any("/scheduler/" not in request.path for request in sim.requests[before:]):
                asked.append(clock.now - 1000)
            clock.now += max(interval, poller.pause)
        return asked

    return follow


@pytest.fixture
def watch(sim, clock):
    """A function that makes a poller, of a job that is completed unless others are given."""

    def make(*job_ids, **kwargs):
        if not job_ids:
            job_ids = [sim.start_job(A)]
            sim.end_job(*job_ids)
        return JobPoller(job_ids, 15.0, log, clock=clock, **kwargs)

    return make


@pytest.mark.parametrize(
    ("fault", "asked_at"),
    [(faults.status(503), 300), (faults.html(404), 300), (faults.status(400), 315)],
    ids=["503", "web page", "400"],
)
def test_a_result_is_found_although_the_list_cannot_be_read(sim, watch, looks, fault, asked_at):
    sim.inject(fault, times=None, path="scheduler/")
    one = watch()
    assert looks(one, 3600) == [asked_at]
    assert one.jobs[0].result.is_completed


def test_a_result_is_found_although_the_list_keeps_the_job(sim, watch, looks):
    job_id = sim.start_job(A)
    sim.respond_with("scheduler/", [{"id": job_id}])
    one = watch(job_id)
    assert looks(one, 700) == [300, 600]
    sim.end_job(job_id)
    looks(one, 300)
    assert one.jobs[0].result.is_completed


@pytest.mark.parametrize("code", [401, 402, 403, 412, 596])
def test_an_error_that_a_person_can_fix_is_met_every_five_minutes_with_a_warning(
    sim, watch, looks, code, caplog
):
    sim.inject(faults.status(code), times=None)
    one = watch()
    assert looks(one, 3 * 3600)[:3] == [315, 615, 915]
    assert not one.has_ended
    warnings = [one for one in caplog.records if one.name == log.name and str(code) in one.getMessage()]
    assert {one.levelname for one in warnings} == {"WARNING"}
    assert sim.request_count <= 2 * 3 * 12 + 2, "two calls in five minutes"
    sim.clear_faults()
    looks(one, 600)
    assert one.jobs[0].result.is_completed


def test_a_token_that_was_replaced_is_read_again(sim, watch, looks):
    job_id = sim.start_job(A)
    one = watch(job_id)
    looks(one, 30)
    sim.token = "user:1-new"
    sim.end_job(job_id)
    looks(one, 60)
    assert one.jobs[0].result.is_completed


def test_a_fatal_answer_is_believed_at_the_second_poll(sim, watch, looks):
    fault = faults.status(400, {"error": "no such thing"})
    once, twice = watch(), watch()
    sim.inject(fault, times=1, path=once.jobs[0].job_id)
    looks(once, 300)
    assert once.jobs[0].result.is_completed
    sim.inject(fault, times=None, path=twice.jobs[0].job_id)
    assert len(looks(twice, 300)) == 2
    assert isinstance(twice.jobs[0].error, PixverseFatalError)
    assert "no such thing" in str(twice.jobs[0].error)


def test_a_job_of_another_user_ends_the_wait_with_both_numbers_in_the_error(sim, watch, looks):
    one = watch("user:22-pixverse:a@example.com-video:7")
    looks(one, 600)
    assert not isinstance(one.jobs[0].error, PixverseAuthError)
    assert "belongs to user 22 of useapi.net, and the API token to user 1." in str(one.jobs[0].error)
    assert sim.token not in str(one.jobs[0].error)


@pytest.mark.parametrize("kind", ["image", "music", "speech"])
def test_a_job_that_is_not_found_is_given_up_after_ten_minutes(watch, looks, kind):
    one = watch(f"user:1-pixverse:{A}-{kind}:999")
    assert looks(one, 3600)[-1] == 600
    assert isinstance(one.jobs[0].error, PixverseNoResultError)
    assert "is not found, so it is deleted, or there never was one of this id" in str(one.jobs[0].error)


def test_a_video_that_is_not_found_is_waited_for_since_it_may_still_be_made(watch, looks):
    one = watch(f"user:1-pixverse:{A}-video:999")
    assert len(looks(one, 3 * 3600)) == 180
    assert not one.has_ended


def test_not_found_has_to_be_seen_for_ten_minutes_without_anything_else(sim, watch, looks):
    job_id = sim.start_job(A, type="image", website=True)
    one = watch(job_id)
    for _ in range(3):
        sim.respond_with(job_id, {"error": "not found", "code": 404}, 404)
        looks(one, 580)
        sim.respond_with(job_id, None)
        looks(one, 120)
    assert not one.has_ended
    assert one.jobs[0].last_seen == "GENERATING"


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"<html>no such page</html>"), (200, b"<html>log in</html>"), (502, b"")]
)
def test_a_response_that_is_not_of_the_api_proves_nothing(sim, watch, looks, status, body):
    job_id = f"user:1-pixverse:{A}-image:999"
    sim.respond_with(job_id, body, status)
    one = watch(job_id)
    looks(one, 3600)
    assert not one.has_ended


@pytest.mark.parametrize(
    "body",
    [
        {"video_status_name": "DELETED"},
        {"video_status_name": "EXPIRED", "video_status_final": True, "fail_reason": "too old"},
    ],
)
@pytest.mark.parametrize("remembers", [True, False])
def test_an_unknown_final_state_ends_the_wait_with_the_answer(sim, watch, looks, body, remembers):
    one = watch(remembers=remembers)
    [job] = one.jobs
    sim.respond_with(job.job_id, body)
    assert looks(one, 600) == [0]
    assert isinstance(job.error, PixverseNoResultError)
    assert body["video_status_name"] in str(job.error)
    assert body.get("fail_reason", "") in str(job.error)


def test_completed_without_a_url_ends_the_wait_after_ten_minutes(sim, watch, looks):
    one = watch()
    [job] = one.jobs
    sim.respond_with(job.job_id, {"video_status_name": "COMPLETED", "url": "", "video_id": job.job_id})
    assert looks(one, 3600)[-1] == 600
    assert "is COMPLETED without a URL" in str(job.error)


@pytest.mark.parametrize("state", ["QUEUED", "GENERATING", "PROCESSING", "SOMETHING_NEW"])
def test_a_state_that_is_not_final_is_waited_for_with_a_reminder_once_an_hour(
    sim, watch, looks, state, caplog
):
    job_id = sim.start_job(A, website=True)
    final = {} if state == "SOMETHING_NEW" else {"video_status_final": True}
    sim.respond_with(job_id, {"video_status_name": state, **final})
    one = watch(job_id)
    looks(one, 3 * 3600 + 100)
    assert not one.has_ended
    told = [message for message in caplog.messages if message.startswith("Still waiting for job")]
    assert [
        f"after {hour} h: {state}. Waiting costs nothing." in text for hour, text in enumerate(told, 1)
    ] == [True] * 3
    assert "mark the task as failed" in told[0]


def test_a_poller_that_remembers_nothing_asks_where_only_time_could_tell(sim, watch, looks):
    """Each look is one of a process of its own."""
    young, old = sim.start_job(A), sim.start_job(A)
    assert looks(watch(young, remembers=False), 15) == []
    stale = {"id": old, "started": "2024-01-01T00:00:00.000Z"}
    sim.respond_with("scheduler/", [stale])
    assert looks(watch(old, remembers=False), 15) != []
    sim.inject(faults.status(503), times=None, path="scheduler/")
    assert looks(watch(young, remembers=False), 15) != []
