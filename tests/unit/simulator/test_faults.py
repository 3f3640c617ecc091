"""Every fault, seen from a client's side."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import time

import pytest
import requests

from airflow_pixverse.simulator import Simulator, faults

HTTP_DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("retry_after", "header"), [(None, None), (5, "5"), (0.5, "0.5"), (HTTP_DATE, HTTP_DATE)]
)
def test_rate_limit(sim, api, retry_after, header):
    sim.inject(faults.rate_limit(retry_after))
    answer = api.get("/scheduler/available")
    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, header)
    assert answer.json() == {"error": "Too Many Requests", "code": 429}


@pytest.mark.parametrize(
    ("fault", "code", "text"),
    [
        (faults.status(402), 402, '{"error": "Payment Required", "code": 402}'),
        (faults.status(520), 520, '{"error": "Status 520", "code": 520}'),
        (faults.status(596, {"error": {"message": "x"}}), 596, '{"error": {"message": "x"}}'),
        (faults.status(500, "oops"), 500, "oops"),
        (faults.status(204), 204, ""),
    ],
)
def test_status(sim, api, fault, code, text):
    sim.inject(fault)
    answer = api.get("/scheduler/")
    assert (answer.status_code, answer.text) == (code, text)
    assert api.get("/scheduler/").json() == []


def test_status_with_retry_after(sim, api):
    sim.inject(faults.status(503, retry_after=7))
    assert api.get("/scheduler/").headers["Retry-After"] == "7"


@pytest.mark.parametrize("code", [200, 502])
def test_html(sim, api, code):
    sim.inject(faults.html(code))
    answer = api.get("/scheduler/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (code, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_broken_json(sim, api):
    sim.inject(faults.broken_json())
    answer = api.get("/scheduler/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_error_in_200(sim, api):
    sim.inject(faults.error_in_200("Unauthorized", 401))
    sim.inject(faults.error_in_200({"message": "x"}))
    answers = [api.get("/scheduler/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json() for answer in answers] == [
        {"error": "Unauthorized", "code": 401},
        {"error": {"message": "x"}},
    ]


def test_redirect(sim, api):
    sim.inject(faults.redirect("http://127.0.0.1:9/elsewhere"))
    answer = api.get("/scheduler/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.1:9/elsewhere")


def test_echo_token(sim, api):
    sim.inject(faults.echo_token())
    answer = api.get("/scheduler/")
    assert answer.status_code == answer.json()["code"] == 401
    assert f"Bearer {sim.token}" in answer.json()["error"]


@contextlib.contextmanager
def connection(sim):
    """A connection that shows more of what happens than requests does."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", sim.port, timeout=60)) as opened:
        yield opened


def get(opened, sim):
    opened.request(
        "GET", "/v2/pixverse/scheduler/available", headers={"Authorization": f"Bearer {sim.token}"}
    )
    return opened.getresponse()


def test_truncated(sim, api):
    usual = api.get("/scheduler/available").content
    sim.inject(faults.truncated(), times=2)
    with connection(sim) as opened:
        answer = get(opened, sim)
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(usual)))
        with pytest.raises(http.client.IncompleteRead) as broken:
            answer.read()
        assert broken.value.partial == usual[: len(usual) // 2]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.get("/scheduler/available")
    assert api.get("/scheduler/available").content == usual


def test_reset(sim):
    sim.inject(faults.reset())
    with socket.create_connection(("127.0.0.1", sim.port), timeout=60) as connection:
        connection.sendall(b"GET /v2/pixverse/scheduler/ HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert [(logged.status, logged.fault) for logged in sim.requests] == [(None, "reset")]


def test_slow_answers_late_but_answers(sim, api):
    sim.inject(faults.slow(0.05))
    begin = time.monotonic()
    assert api.get("/scheduler/").json() == []
    assert time.monotonic() - begin >= 0.05


def test_a_client_that_does_not_wait_for_a_slow_answer_does_no_harm(sim, api):
    sim.inject(faults.slow(3600))
    with connection(sim) as opened:
        opened.request("GET", "/v2/pixverse/scheduler/")
        sim.wait_for_requests(1)
    assert api.get("/scheduler/").json() == []
    assert [logged.status for logged in sim.requests] == [None, 200]


def test_drip_sends_the_usual_answer_in_small_pieces(sim, api):
    usual = api.get("/scheduler/available").content
    sim.inject(faults.drip(0))
    assert api.get("/scheduler/available").content == usual
    sim.inject(faults.drip(0.1))
    with connection(sim) as opened:
        answer = get(opened, sim)
        assert answer.headers["Content-Length"] == str(len(usual))
        piece = answer.read1()
    assert usual.startswith(piece)
    assert 0 < len(piece) < len(usual)


@pytest.mark.parametrize("size", [2, 65_538, 65_539, 6 * 1024 * 1024])
def test_oversized(sim, api, size):
    sim.inject(faults.oversized(size))
    answer = api.get("/scheduler/")
    assert (len(answer.content), answer.json()) == (size, [])
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers


def test_a_connection_goes_on_after_a_fault_that_does_not_break_it(sim):
    for fault in (faults.drip(0), faults.oversized(), faults.rate_limit(), faults.status(204)):
        sim.inject(fault)
    with connection(sim) as opened:
        opened.auto_open = False
        opened.connect()
        statuses = []
        for _ in range(5):
            answer = get(opened, sim)
            answer.read()
            statuses.append(answer.status)
    assert statuses == [200, 200, 429, 204, 200]


def test_oversized_is_sent_only_as_fast_as_it_is_read(sim, api):
    sim.inject(faults.oversized(1 << 40))
    with api.get("/scheduler/", stream=True) as answer:
        assert answer.raw.read(1 << 20, decode_content=False).startswith(b"[ ")
    assert api.get("/scheduler/").json() == []


def test_faults_come_in_the_order_they_were_injected_and_are_used_up(sim, api):
    sim.inject(faults.status(500), times=2)
    sim.inject(faults.rate_limit())
    assert [api.get("/scheduler/").status_code for _ in range(4)] == [500, 500, 429, 200]
    assert [logged.fault for logged in sim.requests] == ["status", "status", "rate_limit", None]


def test_a_fault_without_times_stays_until_cleared(sim, api):
    sim.inject(faults.status(500), times=None)
    assert {api.get("/scheduler/").status_code for _ in range(5)} == {500}
    sim.clear_faults()
    assert api.get("/scheduler/").status_code == 200


def test_a_fault_for_one_path_waits_for_it(sim, api):
    sim.inject(faults.status(500), path="scheduler/available")
    sim.inject(faults.status(502), path="scheduler/")
    assert [
        api.get(f"/{path}").status_code for path in ("scheduler", "scheduler/available/", "scheduler")
    ] == [502, 500, 200]


def test_a_fault_comes_before_the_check_of_the_token(sim, connect):
    sim.inject(faults.status(502))
    assert connect(sim, "wrong").get("/scheduler/").status_code == 502


def test_a_fault_meets_a_submit_before_it_takes_a_slot(sim, api):
    sim.inject(faults.status(502))
    assert api.post("/videos/create").status_code == 502
    assert sim.free() == 6


def test_a_lost_answer_leaves_a_job_that_nobody_was_told_of(sim, api):
    sim.inject(faults.lost_answer())
    with pytest.raises(requests.ConnectionError):
        api.post("/videos/create", json={"prompt": "a cat", "replyRef": "r"})
    assert [job.payload["prompt"] for job in sim.submitted()] == ["a cat"]
    assert [job["replyRef"] for job in api.get("/scheduler/").json()] == ["r"]
    assert [logged.status for logged in sim.requests] == [None, 200]


def test_a_lost_request_leaves_no_job(sim, api):
    sim.inject(faults.lost_request())
    with pytest.raises(requests.ConnectionError):
        api.post("/videos/create")
    assert sim.jobs == []


@pytest.mark.parametrize(("fault", "jobs"), [(faults.lost_answer, 1), (faults.lost_request, 0)])
def test_a_gateway_can_answer_in_place_of_the_service(sim, api, fault, jobs):
    sim.inject(fault(code=504))
    answer = api.post("/videos/create")
    assert (answer.status_code, answer.json()) == (504, {"error": "Gateway Timeout", "code": 504})
    assert len(sim.jobs) == jobs


@pytest.mark.parametrize(("fault", "jobs"), [(faults.lost_answer, 1), (faults.lost_request, 0)])
def test_a_client_can_give_up_on_what_was_lost(sim, api, fault, jobs):
    sim.inject(fault(seconds=3600))
    with pytest.raises(requests.ReadTimeout):
        api.post("/videos/create", timeout=0.2)
    assert api.get("/scheduler/").status_code == 200
    assert len(sim.jobs) == jobs


def test_a_late_answer_is_the_usual_one(sim, api):
    sim.inject(faults.late_answer(0.05))
    begin = time.monotonic()
    assert api.post("/videos/create").json() == {"video_id": sim.jobs[0].id}
    assert time.monotonic() - begin >= 0.05


def test_a_fault_for_one_method_waits_for_it(sim, api):
    sim.inject(faults.status(502), path="videos/create", method="POST")
    assert api.get("/videos/create").status_code == 404
    assert [api.post("/videos/create").status_code for _ in range(2)] == [502, 200]


def test_a_fault_for_a_share_meets_about_as_many_and_the_same_with_the_same_seed(connect):
    def met(seed):
        with Simulator(seed=seed) as sim:
            sim.inject(faults.status(500), times=None, share=0.2)
            return [sim.script.next_fault("/") is not None for _ in range(500)]

    first = met(1)
    assert 70 <= sum(first) <= 130
    assert met(1) == first != met(2)


def test_a_fault_for_a_share_is_used_up_only_by_those_that_meet_it(sim):
    sim.inject(faults.status(500), times=3, share=0.5)
    assert sum(sim.script.next_fault("/") is not None for _ in range(200)) == 3


def test_who_is_spared_by_a_share_meets_the_next_fault(sim):
    sim.inject(faults.status(500), times=None, share=0)
    sim.inject(faults.html())
    assert sim.script.next_fault("/").name == "html"


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: faults.status(99), "code"),
        (lambda: faults.status(600), "code"),
        (lambda: faults.rate_limit([5]), "retry_after"),
        (lambda: faults.rate_limit(-5), "retry_after"),
        (lambda: faults.rate_limit("5\r\nX: y"), "retry_after"),
        (lambda: faults.redirect("http://x/\nSet-Cookie: y"), "location"),
        (lambda: faults.slow(float("inf")), "seconds"),
        (lambda: faults.slow("1"), "seconds"),
        (lambda: faults.drip(-1), "seconds_per_byte"),
        (lambda: faults.oversized(1), "size"),
        (lambda: faults.html(code=True), "code"),
        (lambda: faults.echo_token(0), "code"),
        (lambda: faults.late_answer(-1), "seconds"),
        (lambda: faults.lost_answer(seconds=-1), "seconds"),
        (lambda: faults.lost_request(code=600), "code"),
        (lambda: faults.cut(-1), "after"),
        (lambda: faults.short(0.5), "after"),
        (lambda: faults.hold(after=-1), "after"),
        (lambda: faults.throttle(0), "bytes_per_second"),
        (lambda: faults.cdn_redirect("example.com"), "host"),
        (lambda: faults.cdn_redirect("localhost\r\nX: y"), "host"),
    ],
)
def test_what_no_fault_can_be_made_of_is_refused_under_its_name(make, field):
    with pytest.raises(ValueError, match=f"^{field}: "):
        make()


def test_a_client_that_resets_does_no_harm(sim, api):
    sim.inject(faults.oversized(1 << 40))
    with socket.create_connection(("127.0.0.1", sim.port), timeout=60) as connection:
        connection.sendall(b"GET /v2/pixverse/scheduler/ HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert api.get("/scheduler/").json() == []
