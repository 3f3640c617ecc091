"""Errors that a wait for a job survives, and those that end it without a result; in every mode."""

import re

import pytest

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.simulator import faults
from airflow_pixverse.waits import job_progress
from tests.helpers.sensors import MODES, RETRIED, TIMED_OUT, in_every_mode
from tests.helpers.submits import elsewhere
from tests.integration.test_job_outcomes import ends, result_calls, wait

# A wait that is rescheduled remembers nothing between two looks.
remembers = pytest.mark.parametrize("mode", [MODES["poke"], MODES["deferrable"]], ids=["poke", "deferrable"])


@pytest.fixture(params=MODES.values(), ids=MODES)
def mode(request):
    return request.param


@pytest.fixture
def executing(sim):
    """A job that executes until it is ended."""
    return sim.start_job("a-1@example.com")


@pytest.fixture
def job(sim, executing):
    """A job that has ended."""
    sim.end_job(executing)
    return executing


@pytest.fixture(autouse=True)
def _quick_conclusions(monkeypatch):
    """Let a wait conclude from a second what it otherwise concludes from many minutes."""
    monkeypatch.setattr(job_progress, "UNSEEN", 0.5)
    monkeypatch.setattr(job_progress, "GIVEN_UP_AFTER", 1.0)


def test_sensor_without_the_list_gets_the_result_all_the_same(sim, mode, job):
    for path in ("scheduler/", "scheduler/available"):
        sim.inject(faults.status(503), times=None, path=path)
    assert wait(mode, job_id=job).end("wait") == ("success", 1)


def test_sensor_gets_the_result_of_a_job_that_the_list_keeps_after_its_end(sim, mode, job):
    listed = [{"id": job, "started": "2024-11-11T12:34:56.000Z"}]
    sim.respond_with("scheduler/", listed)
    sim.respond_with("scheduler/available", {"executing": listed, "available": []})
    assert wait(mode, job_id=job).end("wait") == ("success", 1)


@pytest.mark.parametrize(
    "fault",
    [faults.status(401), faults.status(402), faults.html(404), faults.status(404, "page not found")],
    ids=["401", "402", "web page", "text"],
)
def test_sensor_waits_on_while_a_person_has_to_act(sim, mode, job, fault):
    """For a token that is refused, everything is."""
    sim.inject(fault, times=None)
    some_looks = sim.request_count + 4
    with elsewhere(lambda: (sim.wait_for_requests(some_looks), sim.clear_faults())):
        assert wait(mode, job_id=job, soft_fail=True).end("wait") == ("success", 1)


def test_sensor_with_a_bad_token_waits_until_its_timeout(sim, job):
    sim.token = "user:1-rotated"
    assert ends(TIMED_OUT, job_id=job, timeout=0.5) == in_every_mode(TIMED_OUT)


def test_sensor_with_a_bad_token_names_it_at_its_timeout(sim, mode, job, logged):
    sim.token = "user:1-rotated"
    wait(mode, job_id=job, timeout=1)
    assert re.search(r"(last API error|within 1 s): .* 401 Unauthorized \(check the API token\)", logged())


def test_sensor_of_a_job_of_another_user_ends_for_good_and_says_whose_it_is(sim, mode, logged):
    job = "user:22-pixverse:a-1@example.com-video:1"
    assert wait(mode, job_id=job).end("wait") == ("failed", 1)
    text = logged()
    assert "belongs to user 22 of useapi.net, and the API token to user 1." in text
    assert sim.token not in logged(on_workers=True)
    assert result_calls(sim) == []


def test_sensor_that_sees_an_unknown_final_state_fails_and_may_be_retried(sim, job):
    sim.respond_with(job, {"video_status_name": "EXPIRED", "video_status_final": True})
    assert ends(RETRIED, job_id=job) == in_every_mode(RETRIED)


def test_sensor_names_the_answer_that_ended_it_without_the_signature(sim, mode, job, logged):
    sim.respond_with(job, {"video_status_name": "DELETED", "url": f"{sim.url}/media/1.mp4?signature=secret"})
    assert wait(mode, job_id=job, retries=0).end("wait") == ("failed", 1)
    answer = '{"state": "DELETED", "video_status_name": "DELETED"}'
    text = logged()
    assert f"has ended in a state that is not known here: {answer}" in text
    assert "signature" not in logged(on_workers=True)


@remembers
@pytest.mark.parametrize("kind", ["image", "music", "speech"])
def test_sensor_of_a_kind_that_is_found_while_it_is_made_ends_when_it_is_not_found_for_long(
    sim, mode, kind, logged
):
    job = f"user:1-pixverse:a-1@example.com-{kind}:999"
    assert wait(mode, job_id=job, retries=0).end("wait") == ("failed", 1)
    assert "is not found, so it is deleted, or there never was one of this id" in logged()
    assert len(result_calls(sim)) >= 2


@remembers
def test_sensor_of_a_job_that_is_completed_without_a_url_for_long_ends(sim, mode, job, logged):
    sim.respond_with(job, {"video_id": job, "video_status_name": "COMPLETED", "url": ""})
    assert wait(mode, job_id=job, retries=0).end("wait") == ("failed", 1)
    assert "is COMPLETED without a URL" in logged()


@remembers
def test_log_of_a_long_wait_reminds_of_it(mode, executing, monkeypatch, logged):
    monkeypatch.setattr(job_progress, "REMIND_EVERY", 0.5)
    assert wait(mode, job_id=executing, timeout=2).end("wait") == ("failed", 1)
    job = re.escape(executing)
    assert re.search(rf"Still waiting for job {job} after 0 h: .*mark the task as failed", logged())


@pytest.mark.parametrize("trouble", [faults.status(503), faults.status(401)], ids=["503", "401"])
def test_sensor_whose_worker_does_not_get_the_result_any_more_waits_again(sim, job, trouble, monkeypatch):
    """The triggerer has seen it."""
    asked = []
    ask = PixverseHook.get_result

    def ask_in_trouble(hook, *args):
        if not asked:
            sim.inject(trouble, times=4, path=job)
        asked.append(args)
        return ask(hook, *args)

    monkeypatch.setattr(PixverseHook, "get_result", ask_in_trouble)
    assert wait(MODES["deferrable"], job_id=job).end("wait") == ("success", 1)
    assert len(asked) >= 2


def test_sensor_whose_worker_never_gets_the_result_ends_at_its_timeout(job, logged, monkeypatch):
    def fail(hook, *args):
        raise PixverseTransientError("down for lunch")

    monkeypatch.setattr(PixverseHook, "get_result", fail)
    deferrable = {"deferrable": MODES["deferrable"]}
    ended = ends(TIMED_OUT, modes=deferrable, job_id=job, timeout=1)
    assert ended == in_every_mode(TIMED_OUT, deferrable)
    assert "is not finished within timeout=1 s: down for lunch" in logged()


def test_log_of_a_sensor_has_no_signature_of_a_url(sim, mode, job, logged, tmp_path):
    sim.link_seconds = 3600
    outcome = wait(mode, job_id=job, output_path=tmp_path.as_uri())
    assert outcome.end("wait") == ("success", 1)
    [_, signature] = outcome.xcom("wait")["url"].split("signature=")
    assert signature not in logged(on_workers=True)
