"""Results of jobs: asked for one by one, and read in any form that the API has."""

from datetime import UTC, datetime

import pytest

from airflow_pixverse.api.errors import (
    PixverseAccessError,
    PixverseAuthError,
    PixverseFatalError,
    PixverseJobFailedError,
    PixverseJobModeratedError,
    PixverseTransientError,
)
from airflow_pixverse.api.kinds import FOLDERS, GOING_ON, KINDS
from airflow_pixverse.api.results import RESULT, JobResult, unknown_result
from airflow_pixverse.simulator import faults
from tests.helpers.clients import client_of, error_of
from tests.helpers.raw_server import answer

URL = "https://media.example.com/1.mp4"


def job_of(kind):
    return f"user:1-pixverse:mary-jane@example.com-{kind}:34"


VIDEO = job_of("video")
PAGE = b"<html><body>Nothing here"


def result(kind="video", **body):
    return RESULT.validate_python(body, context={"kind": kind})


def end_of(one: JobResult) -> str:
    assert one.is_finished == (one.is_completed or one.is_failed or one.is_moderated)
    ends = {"completed": one.is_completed, "failed": one.is_failed, "moderated": one.is_moderated}
    return next((name for name, is_end in ends.items() if is_end), "goes on")


# The call


@pytest.mark.parametrize(("kind", "folder"), FOLDERS.items())
@pytest.mark.parametrize("is_given", [True, False])
def test_result_is_asked_for_in_the_folder_of_its_kind(raw_server, kind, folder, is_given):
    job_id = "1234" if is_given else job_of(kind)
    server = raw_server()
    found = client_of(server).get_result(job_id, kind if is_given else None)
    assert server.requests[0][1].startswith(f"GET /v2/pixverse/{folder}/{job_id} HTTP/1.1\r\n".encode())
    assert (found.id, found.kind) == (job_id, kind)


@pytest.mark.parametrize(("call", "kind"), [("get_result", ["video"]), ("cancel", [])])
@pytest.mark.parametrize("job_id", ["", "a/b", "effects/x", "..", ".", "a b", "a?b", "a#b", "a%41", "a\n"])
def test_job_with_an_id_that_is_none_is_not_asked_for(raw_server, call, kind, job_id):
    server = raw_server()
    with pytest.raises(PixverseFatalError, match="cannot be sent"):
        getattr(client_of(server), call)(job_id, *kind)
    assert server.connections == 0


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        *[("get_result", job) for job in [("1234",), (job_of("dream"),), (VIDEO, "videos"), (VIDEO, "")]],
        ("list_results", ("videos",)),
    ],
)
def test_job_of_no_known_kind_is_not_asked_for(raw_server, call, arguments):
    server = raw_server()
    words = "the kind of the job is none of video, image, music, speech"
    with pytest.raises(PixverseFatalError, match=words):
        getattr(client_of(server), call)(*arguments)
    assert server.connections == 0


@pytest.mark.parametrize("call", ["get_result", "cancel"])
def test_job_of_another_user_is_not_asked_for(raw_server, call):
    server = raw_server()
    words = r"belongs to user 1 of useapi\.net, and the API token to user 77"
    with client_of(server, "user:77-secret") as client, pytest.raises(PixverseFatalError, match=words):
        getattr(client, call)(VIDEO)
    assert server.connections == 0


@pytest.mark.parametrize(
    ("token", "job_id"),
    [("user:1-x", VIDEO), ("another form", VIDEO), ("user:77-x", "user:me-pixverse:a@example.com-video:1")],
)
def test_job_of_an_unknown_user_is_asked_for(raw_server, token, job_id):
    assert client_of(raw_server(), token).get_result(job_id).id == job_id


@pytest.mark.parametrize(
    "served",
    [
        answer(b'{"error": "Not found", "code": 404}', "404 Not Found"),
        answer(b"", "404 Not Found"),
        answer(b'{"error": "Not found", "code": 404}'),
    ],
    ids=["404", "404 without a body", "404 in a 200"],
)
def test_result_that_is_not_found_is_not_finished(raw_server, served):
    server = raw_server(served)
    found = client_of(server).get_result(VIDEO)
    assert len(server.requests) == 1
    assert (end_of(found), found.is_found) == ("goes on", False)
    assert (found.id, found.kind, found.email, found.state) == (VIDEO, "video", "mary-jane@example.com", None)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429])
@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json"])
def test_result_answered_with_a_web_page_is_transient(raw_server, status, content_type):
    client = client_of(raw_server(answer(PAGE, f"{status} No", content_type=content_type)))
    error = error_of(client.get_result, VIDEO, kind=PixverseTransientError)
    assert "a web page" in str(error)
    assert error.status == status


@pytest.mark.parametrize(
    ("served", "kind", "words"),
    [
        # A 404 that is not the API's own does not say that a job is unknown.
        (
            answer(b"404 page not found", "404 Not Found", content_type="text/plain"),
            PixverseAccessError,
            "404 page not found",
        ),
        (answer(status="401 No"), PixverseAuthError, "401"),
        (answer(status="400 No"), PixverseFatalError, "400"),
        (answer(b'{"error": "out of order"}'), PixverseTransientError, "out of order"),
        *[(answer(body), PixverseTransientError, "another shape") for body in (b"[]", b"null", b'"x"', b"7")],
    ],
)
def test_result_answered_with_an_error_raises_it(raw_server, served, kind, words):
    with pytest.raises(kind, match=words):
        client_of(raw_server(served)).get_result(VIDEO)


def test_result_is_asked_for_again_after_transient_errors(sim):
    sim.inject(faults.status(503), times=2)
    # An error beside a state is the reason of the job, and no error of the call.
    sim.respond_with(f"videos/{VIDEO}", {"video_status": 8, "error": "out of luck", "code": 500})
    assert client_of(sim, max_retries=2).get_result(VIDEO).reason == "out of luck"
    assert sim.request_count == 3


# Whether it is finished


@pytest.mark.parametrize(
    ("kind", "body", "is_end"),
    [
        ("video", {"video_status_name": "DELETED"}, True),
        ("video", {"video_status_name": "EXPIRED", "video_status_final": True}, True),
        ("image", {"image_status_name": "EXPIRED", "image_status_final": True}, True),
        ("music", {"audio_status": 6, "audio_status_final": True}, True),
        ("video", {"video_status_name": "EXPIRED"}, False),
        ("video", {"video_status_name": "EXPIRED", "video_status_final": "yes"}, False),
        ("video", {"video_status_name": "QUEUED", "video_status_final": True}, False),
        ("image", {"image_status_name": "PROCESSING", "image_status_final": True}, False),
        ("video", {"video_status_name": "COMPLETED", "video_status_final": True}, False),
        ("video", {}, False),
    ],
)
def test_state_that_is_final_and_not_known_is_an_unknown_end(kind, body, is_end):
    assert result(kind, **body).has_unknown_end == is_end


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ({"video_status_name": "QUEUED"}, "goes on"),
        ({"video_status_name": "COMPLETED", "url": URL}, "completed"),
        ({"video_status_name": " completed ", "url": URL}, "completed"),
        ({"video_status_name": "COMPLETED"}, "goes on"),
        *[({"video_status_name": "COMPLETED", "url": odd}, "goes on") for odd in ("", " ", None, 7)],
        ({"video_status_name": "COMPLETED", "image_url": URL, "video_status_final": True}, "goes on"),
        ({"video_status_name": "FAILED"}, "failed"),
        ({"video_status_name": "FAILED", "url": URL}, "failed"),
        ({"video_status_name": "MODERATED"}, "moderated"),
        ({"video_status_name": "QUEUED", "video_status_final": True, "url": URL}, "goes on"),
        ({"video_status_name": "SOMETHING_NEW", "video_status": 1, "url": URL}, "goes on"),
        ({"url": URL}, "goes on"),
        ({}, "goes on"),
    ],
)
def test_job_is_finished_by_the_name_of_its_state_and_its_url(body, end):
    assert end_of(result(**body)) == end


STATES = {1: "COMPLETED", 5: "QUEUED", 7: "MODERATED", 8: "FAILED", 9: "GENERATING", 10: "GENERATING"}
ODD_NUMBERS = (0, 2, 1.0, True, "9" * 5000, "\N{SUPERSCRIPT ONE}", [1])


@pytest.mark.parametrize(
    ("kind", "prefix", "number", "state"),
    [
        *[("video", "video", number, state) for number, state in STATES.items()],
        *[("image", "image", number, state) for number, state in (STATES | {10: "PROCESSING"}).items()],
        *[("music", "audio", number, state) for number, state in STATES.items()],
        ("speech", "audio", 1, "COMPLETED"),
        ("video", "video", "1", "COMPLETED"),
        *[("video", "video", odd, None) for odd in ODD_NUMBERS],
    ],
)
def test_state_is_that_of_the_number_where_there_is_no_name(kind, prefix, number, state):
    assert result(kind, **{f"{prefix}_status": number}).state == state
    assert result(kind, **{f"{prefix}_status": number, f"{prefix}_status_name": ""}).state == state
    named = {f"{prefix}_status": number, f"{prefix}_status_name": "QUEUED"}
    assert result(kind, **named).state == "QUEUED"


@pytest.mark.parametrize(
    "state", sorted({state for kind in KINDS.values() for state in kind.states.values()})
)
def test_state_that_is_known_goes_on_or_has_an_ending(state):
    """A wait for a job in any other state would never end."""
    assert (result(state=state, url=URL).ending is None) == (state in GOING_ON)


def test_fields_of_its_own_kind_count_first():
    body = {"video_status_name": "FAILED", "image_status_name": "QUEUED", "audio_status": 1}
    states = {kind: result(kind, **body).state for kind in KINDS}
    # Names come before numbers, whatever they belong to.
    assert states == {"video": "FAILED", "image": "QUEUED", "music": "FAILED", "speech": "FAILED"}
    ids = {"video_id": "v", "image_id": "i", "audio_id": "a", "id": "x"}
    assert [result(kind, **ids).id for kind in KINDS] == ["v", "i", "a", "a"]


def test_url_of_an_image_is_found():
    image = result("image", image_status=1, image_url=URL, url="")
    assert (image.url, end_of(image)) == (URL, "completed")
    assert image.to_xcom()["image_url"] == URL


# Its summary and its reason


def test_result_is_found_where_the_api_says_anything_of_it():
    assert not unknown_result(VIDEO).is_found
    assert unknown_result(VIDEO).id == VIDEO
    assert result(video_status_name="QUEUED").is_found
    assert result(video_status=99).is_found


def test_summary_is_one_line_without_what_is_signed_or_private():
    private = {"video_id": VIDEO, "prompt": "my secret", "fail_reason": "gone\n" * 200}
    signed = {"url": f"{URL}?signature=abc", "cover": {"url": f"{URL}?signature=abc"}}
    shown = result(video_status_name="DELETED", **private, **signed).summary
    assert '"state": "DELETED"' in shown
    assert "secret" not in shown
    assert "signature" not in shown
    assert len(shown) <= 300
    assert "\n" not in shown


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"fail_reason": "no faces"}, "no faces"),
        ({"fail_reason": None, "error": {"message": "no faces"}}, "no faces"),
        ({"error": "no faces", "message": "other"}, "no faces"),
        ({"fail_reason": " ", "message": "no\nfaces\x1b[0m"}, "no faces"),
        ({"fail_code": "music_generation_failed"}, "music_generation_failed"),
        ({"error": ["x"], "message": 7}, ""),
        ({"fail_reason": "x" * 1000}, "x" * 299 + "…"),
        ({}, ""),
    ],
)
@pytest.mark.parametrize(
    ("state", "error"), [("FAILED", PixverseJobFailedError), ("MODERATED", PixverseJobModeratedError)]
)
def test_reason_of_a_job_without_a_result_is_told_and_raised(body, reason, state, error):
    job = RESULT.validate_python({"video_status_name": state, **body}, context={"id": VIDEO})
    assert job.reason == reason
    raised = error_of(job.raise_for_failure, kind=error)
    assert (raised.job_id, raised.detail) == (VIDEO, reason)
    assert VIDEO in str(raised)
    assert str(raised).endswith(reason or ("failed" if state == "FAILED" else "moderation"))
    assert isinstance(raised, PixverseFatalError), "waiting any longer will not help"


@pytest.mark.parametrize("body", [{"video_status": 5}, {"video_status": 1, "url": URL}, {}])
def test_reason_of_a_job_that_has_not_failed_is_empty(body):
    job = result(**body, message="fine", fail_reason="")
    assert job.reason == ""
    job.raise_for_failure()


def test_result_goes_to_json_in_one_form_and_the_rest_passes_through():
    body = {
        "audio_status": 1,
        "audio_status_name": "COMPLETED",
        "status": "finish",
        "url": URL,
        "seed": 7,
        "created_at": "2026-06-23T12:34:56Z",
        "replyRef": "r#1",
        "prompt": None,
        "deep": [{"x": None}],
    }
    job = result("music", audio_id=job_of("music"), **body)
    parsed = {"id": job_of("music"), "kind": "music", "email": "mary-jane@example.com"}
    assert job.to_xcom() == body | parsed | {"state": "COMPLETED", "fail_reason": None}
    assert job.created == datetime(2026, 6, 23, 12, 34, 56, tzinfo=UTC)
    assert (job.reply_ref, job.seed) == ("r#1", 7)


@pytest.mark.parametrize(
    "body",
    [
        {"image_status": 1, "image_url": URL, "image_id": job_of("image")},
        {"video_status": 1, "url": URL, "video_id": 34, "image_id": 35},
        {"video_status": 8, "error": "x"},
        {},
    ],
)
def test_result_that_is_read_from_its_json_is_the_same(body):
    job = RESULT.validate_python(body, context={"id": VIDEO, "kind": "video"})
    assert JobResult.model_validate(job.to_xcom()) == job


def test_kind_in_an_id_counts_more_than_the_list_of_the_job():
    assert result("music", audio_id=job_of("speech")).kind == "speech"
    assert result("music", audio_id=job_of("dream")).kind == "music"


@pytest.mark.parametrize("seed", ["x", 2**63, "18446744073709551616", 1e300, 1.5])
def test_odd_field_does_not_hide_that_a_job_is_completed(seed):
    odd = {"created_at": [], "prompt": {}, "replyRef": [1], "fail_reason": {}, "video_id": [], "kind": {}}
    job = RESULT.validate_python({"video_status": 1, "url": URL, "seed": seed, **odd})
    assert job.is_completed
    assert (job.seed, job.created, job.kind, job.reply_ref) == (None, None, None, "[1]")
