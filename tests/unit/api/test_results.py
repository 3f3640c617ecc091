"""What becomes of jobs: read in any form that the API has, and cancelled."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import (
    PixverseAuthError,
    PixverseFatalError,
    PixverseJobFailedError,
    PixverseJobModeratedError,
    PixverseTransientError,
)
from airflow_pixverse.api.results import RESULT, RESULTS, JobResult
from airflow_pixverse.simulator import faults

from .raw_server import RawServer, always, answer

URL = "https://media.example.com/1.mp4"


def job_of(kind):
    return f"user:12-pixverse:mary-jane@example.com-{kind}:34"


VIDEO = job_of("video")


def client_of(server, **kwargs):
    return PixverseClient("user:1-token", server.url, **{"max_retries": 0, "max_retry_wait": 0, **kwargs})


@pytest.fixture
def client(sim):
    with PixverseClient(sim.token, sim.url, max_retries=0) as client:
        yield client


def result(kind="video", **body):
    return RESULT.validate_python(body, context={"kind": kind})


def end_of(one: JobResult) -> str:
    assert one.is_finished == (one.is_completed or one.is_failed or one.is_moderated)
    ends = {"completed": one.is_completed, "failed": one.is_failed, "moderated": one.is_moderated}
    return next((name for name, is_end in ends.items() if is_end), "goes on")


# Where it is asked for


@pytest.mark.parametrize(
    ("kind", "folder"), [("video", "videos"), ("image", "images"), ("music", "music"), ("speech", "speech")]
)
@pytest.mark.parametrize("given", [True, False])
def test_a_result_is_asked_for_where_its_kind_is_with_the_id_as_it_is(kind, folder, given):
    job_id = "1234" if given else job_of(kind)
    with RawServer(always(answer())) as server:
        found = client_of(server).get_result(job_id, kind if given else None)
    assert server.requests[0][1].startswith(f"GET /v2/pixverse/{folder}/{job_id} HTTP/1.1\r\n".encode())
    assert (found.id, found.kind) == (job_id, kind)


@pytest.mark.parametrize("call", ["get_result", "cancel"])
@pytest.mark.parametrize("job_id", ["", "a/b", "effects/x", "..", ".", "a b", "a?b", "a#b", "a%41", "a\n"])
def test_what_is_no_id_is_not_sent(call, job_id):
    with RawServer(always(answer())) as server:
        with pytest.raises(PixverseFatalError, match="cannot be sent"):
            getattr(client_of(server), call)(job_id, **({"kind": "video"} if call == "get_result" else {}))
        assert server.connections == 0


@pytest.mark.parametrize(
    ("job_id", "kind"), [("1234", None), (job_of("dream"), None), (VIDEO, "videos"), (VIDEO, "")]
)
def test_a_job_of_no_known_kind_is_not_asked_for(job_id, kind):
    with RawServer(always(answer())) as server:
        with pytest.raises(
            PixverseFatalError, match="the kind of the job is none of video, image, music, speech"
        ):
            client_of(server).get_result(job_id, kind)
        assert server.connections == 0


# Whether it is finished


@pytest.mark.parametrize("body", [b'{"error": "Not found", "code": 404}', b"", b"<html>"])
def test_404_says_that_it_is_not_finished(body):
    with RawServer(always(answer(body, "404 Not Found"))) as server:
        found = client_of(server).get_result(VIDEO)
        assert len(server.requests) == 1
    assert end_of(found) == "goes on"
    assert (found.id, found.kind, found.email, found.state) == (VIDEO, "video", "mary-jane@example.com", None)


def test_404_in_a_200_says_it_too(sim, client):
    sim.respond_with(f"videos/{VIDEO}", {"error": "Not found", "code": 404})
    assert end_of(client.get_result(VIDEO)) == "goes on"


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ({"video_status_name": "QUEUED"}, "goes on"),
        ({"video_status_name": "GENERATING"}, "goes on"),
        ({"video_status_name": "PROCESSING"}, "goes on"),
        ({"video_status_name": "COMPLETED", "url": URL}, "completed"),
        ({"video_status_name": " completed ", "url": URL}, "completed"),
        ({"video_status_name": "COMPLETED"}, "goes on"),
        ({"video_status_name": "COMPLETED", "url": ""}, "goes on"),
        ({"video_status_name": "COMPLETED", "url": " "}, "goes on"),
        ({"video_status_name": "COMPLETED", "url": None}, "goes on"),
        ({"video_status_name": "COMPLETED", "url": 7}, "goes on"),
        (
            {"video_status_name": "COMPLETED", "url": "", "image_url": URL, "video_status_final": True},
            "goes on",
        ),
        ({"video_status_name": "FAILED"}, "failed"),
        ({"video_status_name": "FAILED", "url": URL}, "failed"),
        ({"video_status_name": "MODERATED"}, "moderated"),
        ({"video_status_name": "QUEUED", "video_status_final": True, "url": URL}, "goes on"),
        ({"video_status_name": "SOMETHING_NEW", "video_status": 1, "url": URL}, "goes on"),
        ({"url": URL}, "goes on"),
        ({}, "goes on"),
    ],
)
def test_a_job_is_finished_by_the_name_of_its_state_and_its_url(body, end):
    assert end_of(result(**body)) == end


@pytest.mark.parametrize(
    ("kind", "prefix", "number", "state"),
    [
        ("video", "video", 1, "COMPLETED"),
        ("video", "video", 5, "QUEUED"),
        ("video", "video", 7, "MODERATED"),
        ("video", "video", 8, "FAILED"),
        ("video", "video", 9, "GENERATING"),
        ("video", "video", 10, "GENERATING"),
        ("image", "image", 1, "COMPLETED"),
        ("image", "image", 5, "QUEUED"),
        ("image", "image", 7, "MODERATED"),
        ("image", "image", 8, "FAILED"),
        ("image", "image", 9, "GENERATING"),
        ("image", "image", 10, "PROCESSING"),
        ("music", "audio", 1, "COMPLETED"),
        ("music", "audio", 5, "QUEUED"),
        ("music", "audio", 8, "FAILED"),
        ("music", "audio", 10, "GENERATING"),
        ("speech", "audio", 1, "COMPLETED"),
        ("video", "video", "1", "COMPLETED"),
        ("video", "video", 0, None),
        ("video", "video", 2, None),
        ("video", "video", 1.0, None),
        ("video", "video", True, None),
        ("video", "video", "9" * 5000, None),
        ("video", "video", "\N{SUPERSCRIPT ONE}", None),
        ("video", "video", [1], None),
    ],
)
def test_the_number_counts_where_there_is_no_name(kind, prefix, number, state):
    assert result(kind, **{f"{prefix}_status": number}).state == state
    assert result(kind, **{f"{prefix}_status": number, f"{prefix}_status_name": ""}).state == state
    named = {f"{prefix}_status": number, f"{prefix}_status_name": "QUEUED"}
    assert result(kind, **named).state == "QUEUED"


def test_the_fields_of_its_own_kind_count_first():
    body = {"video_status_name": "FAILED", "image_status_name": "QUEUED", "audio_status": 1}
    states = {kind: result(kind, **body).state for kind in ("video", "image", "music", "speech")}
    # Names come before numbers, whatever they belong to.
    assert states == {"video": "FAILED", "image": "QUEUED", "music": "FAILED", "speech": "FAILED"}
    ids = {"video_id": "v", "image_id": "i", "audio_id": "a", "id": "x"}
    assert {kind: result(kind, **ids).id for kind in ("video", "image", "music")} == {
        "video": "v",
        "image": "i",
        "music": "a",
    }


def test_the_url_of_an_image_is_found():
    image = result("image", image_status=1, image_url=URL, url="")
    assert (image.url, end_of(image)) == (URL, "completed")
    assert image.to_xcom()["image_url"] == URL


def test_a_failed_job_that_names_its_error_is_a_result_and_no_trouble(sim, client):
    sim.respond_with(f"videos/{VIDEO}", {"video_status": 8, "error": "out of luck", "code": 500})
    assert client.get_result(VIDEO).reason == "out of luck"


def test_an_error_without_a_state_is_trouble(sim, client):
    sim.respond_with(f"videos/{VIDEO}", {"error": "out of order"})
    with pytest.raises(PixverseTransientError, match="out of order"):
        client.get_result(VIDEO)


@pytest.mark.parametrize(("status", "kind"), [(401, PixverseAuthError), (400, PixverseFatalError)])
def test_an_error_of_the_call_is_raised(sim, client, status, kind):
    sim.respond_with(f"videos/{VIDEO}", {}, status)
    with pytest.raises(kind):
        client.get_result(VIDEO)


def test_a_result_is_asked_for_again_after_transient_trouble(sim):
    sim.inject(faults.status(503), times=2)
    sim.respond_with(f"videos/{VIDEO}", {"video_status": 1, "url": URL})
    with PixverseClient(sim.token, sim.url, max_retries=2, max_retry_wait=0) as client:
        assert client.get_result(VIDEO).is_completed
    assert sim.request_count == 3


@pytest.mark.parametrize("body", [[], None, "x", 7])
def test_a_result_of_another_shape_is_transient_trouble(sim, client, body):
    sim.respond_with(f"videos/{VIDEO}", b"null" if body is None else body)
    with pytest.raises(PixverseTransientError, match="another shape"):
        client.get_result(VIDEO)


# What it tells


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
def test_why_a_job_failed_is_told(body, reason, state, error):
    job = RESULT.validate_python({"video_status_name": state, **body}, context={"id": VIDEO})
    assert job.reason == reason
    with pytest.raises(error) as caught:
        job.raise_for_failure()
    assert (caught.value.job_id, caught.value.detail) == (VIDEO, reason)
    assert VIDEO in str(caught.value)
    assert str(caught.value).endswith(reason or ("failed" if state == "FAILED" else "moderation"))
    assert isinstance(caught.value, PixverseFatalError), "waiting any longer will not help"


@pytest.mark.parametrize("body", [{"video_status": 5}, {"video_status": 1, "url": URL}, {}])
def test_a_job_that_has_not_failed_has_no_reason(body):
    job = result(**body, message="fine", fail_reason="")
    assert job.reason == ""
    job.raise_for_failure()


def test_a_result_goes_to_json_in_one_form_and_the_rest_passes_through():
    body = {
        "audio_id": job_of("music"),
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
    job = result("music", **body)
    del body["audio_id"]
    expected = body | {
        "id": job_of("music"),
        "kind": "music",
        "email": "mary-jane@example.com",
        "state": "COMPLETED",
        "fail_reason": None,
    }
    assert job.to_xcom() == expected
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
def test_a_result_may_be_read_from_its_json_again(body):
    job = RESULT.validate_python(body, context={"id": VIDEO, "kind": "video"})
    assert JobResult.model_validate(job.to_xcom()) == job


def test_the_kind_in_an_id_counts_more_than_where_it_was_listed():
    assert result("music", audio_id=job_of("speech")).kind == "speech"
    assert result("music", audio_id=job_of("dream")).kind == "music"


def test_an_odd_field_does_not_hide_that_a_job_is_completed():
    odd = {
        "seed": "x",
        "created_at": [],
        "prompt": {},
        "replyRef": [1],
        "fail_reason": {},
        "video_id": [],
        "kind": {},
    }
    job = RESULT.validate_python({"video_status": 1, "url": URL, **odd})
    assert job.is_completed
    assert (job.seed, job.created, job.kind, job.reply_ref) == (None, None, None, "[1]")


@pytest.mark.parametrize("seed", [2**63, "18446744073709551616", 1e300, 1.5])
def test_a_seed_that_json_cannot_carry_is_none(seed):
    assert result(seed=seed).seed is None


# Lists


@pytest.mark.parametrize(
    ("kind", "folder"), [("video", "videos"), ("image", "images"), ("music", "music"), ("speech", "speech")]
)
def test_a_list_is_asked_for_with_what_is_given(kind, folder):
    with RawServer(always(answer(b'{"data": []}'))) as server, client_of(server) as client:
        assert client.list_results(kind).results == []
        client.list_results(kind, email="a+b@example.com", limit=5, offset=0)
    targets = [urlsplit(data.split(b" ")[1].decode()) for _, data in server.requests]
    assert {target.path for target in targets} == {f"/v2/pixverse/{folder}/"}
    assert targets[0].query == ""
    assert parse_qs(targets[1].query) == {"email": ["a+b@example.com"], "limit": ["5"], "offset": ["0"]}


def test_a_list_of_no_known_kind_is_not_asked_for(sim, client):
    with pytest.raises(PixverseFatalError, match="the kind of the job is none of"):
        client.list_results("videos")
    assert sim.request_count == 0


def test_a_list_is_read_with_what_its_rows_have(sim, client):
    rows = [
        {
            "video_id": VIDEO,
            "video_status": 10,
            "seed": 7,
            "created_at": "2024-11-11T12:34:56Z",
            "replyRef": "r",
        },
        {"video_id": job_of("video") + "5", "video_status": 1, "url": URL},
    ]
    sim.respond_with("videos/", {"data": rows, "next_offset": 40, "has_more": True, "note": 1})
    page = client.list_results("video", email="mary-jane@example.com")
    first, second = page.results
    assert (first.id, first.kind, first.seed, first.reply_ref) == (VIDEO, "video", 7, "r")
    assert first.created == datetime(2024, 11, 11, 12, 34, 56, tzinfo=UTC)
    assert (second.is_completed, second.reply_ref, second.seed) == (True, None, None)
    assert (page.next_offset, page.has_more) == (40, True)
    assert page.to_xcom()["note"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"video_id": VIDEO}]},
        [{"video_id": VIDEO}],
        {"items": [{"video_id": VIDEO}]},
        {"videos": [{"video_id": VIDEO}], "next_offset": None, "has_more": None},
    ],
)
def test_the_rows_are_found_whatever_the_list_is_called(body):
    page = RESULTS.validate_python(body, context={"kind": "video"})
    assert [job.id for job in page.results] == [VIDEO]
    assert (page.next_offset, page.has_more) == (None, None)


def test_null_is_an_empty_list():
    assert RESULTS.validate_python({"data": None}).results == []


@pytest.mark.parametrize(
    "body", [{}, {"next_offset": 3}, {"data": {}}, {"data": "x"}, {"data": [None]}, {"data": ["x"]}, 7]
)
def test_a_list_that_cannot_be_read_is_trouble_and_not_empty(sim, client, body):
    sim.respond_with("videos/", body)
    with pytest.raises(PixverseTransientError, match="another shape"):
        client.list_results("video")


def test_an_odd_offset_is_none():
    page = RESULTS.validate_python({"data": [], "next_offset": "soon", "has_more": "perhaps"})
    assert (page.next_offset, page.has_more) == (None, None)


def test_the_length_of_a_list_is_bounded():
    assert len(RESULTS.validate_python([{}] * 10_001).results) == 10_000


# Cancelling


def test_a_job_is_cancelled_with_its_id_as_it_is(sim, client):
    job_id = sim.start_job()
    assert client.cancel(job_id) is True
    assert sim.free() == 6
    assert client.cancel(job_id) is False


def test_cancelling_sends_one_request():
    unavailable = answer(status="503 Unavailable")
    with RawServer(always(unavailable)) as server, pytest.raises(PixverseTransientError):
        client_of(server, max_retries=3).cancel(VIDEO)
    [(_, request)] = server.requests
    assert request.startswith(f"DELETE /v2/pixverse/scheduler/{VIDEO} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("then", [answer(b"", "204 No Content"), answer(b""), answer(b"{}"), answer(b"null")])
def test_whatever_a_cancel_is_answered_with_it_is_done(then):
    with RawServer(always(then)) as server:
        assert client_of(server).cancel(VIDEO) is True


def test_a_web_page_does_not_say_that_a_job_is_not_running():
    page = answer(b"<html>", "404 Not Found").replace(b"application/json", b"text/html")
    with RawServer(always(page)) as server, pytest.raises(PixverseFatalError, match="a web page"):
        client_of(server).cancel(VIDEO)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, PixverseFatalError), (401, PixverseAuthError), (500, PixverseTransientError)]
)
def test_any_other_error_of_a_cancel_is_raised(sim, client, status, kind):
    sim.respond_with(f"scheduler/{VIDEO}", {"error": "no"}, status)
    with pytest.raises(kind):
        client.cancel(VIDEO)
