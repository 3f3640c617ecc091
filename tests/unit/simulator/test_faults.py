"""Every fault, seen from a client's side."""

import http.client
import socket
import struct
import time
from collections import Counter

import pytest
import requests

from airflow_pixverse.simulator import Simulator, faults
from tests.unit.simulator.helpers import TOKEN, connection_to

HTTP_DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


JSON, TEXT = "application/json; charset=utf-8", "text/plain; charset=utf-8"
HTML, OTHER = "text/html; charset=utf-8", "application/x; charset=utf-8"
BAD_GATEWAY = (
    "<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head><body>Bad gateway</body></html>\n"
)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.rate_limit(), (429, JSON, '{"error": "Too Many Requests", "code": 429}')),
        (faults.status(402), (402, JSON, '{"error": "Payment Required", "code": 402}')),
        (faults.status(520), (520, JSON, '{"error": "Status 520", "code": 520}')),
        (faults.status(596, {"error": {"message": "x"}}), (596, JSON, '{"error": {"message": "x"}}')),
        (faults.status(500, "oops"), (500, TEXT, "oops")),
        (faults.status(200, ["x"], content_type="application/x"), (200, OTHER, '["x"]')),
        (faults.status(200, "[]", content_type="application/x"), (200, OTHER, "[]")),
        (faults.html(), (502, HTML, BAD_GATEWAY)),
        (faults.html(200), (200, HTML, BAD_GATEWAY)),
        (faults.broken_json(), (200, JSON, '{"executing": [{"id": "user:1-')),
        (faults.error_in_200("Unauthorized", 401), (200, JSON, '{"error": "Unauthorized", "code": 401}')),
        (faults.error_in_200({"message": "x"}), (200, JSON, '{"error": {"message": "x"}}')),
        (faults.redirect("http://127.0.0.1:9/elsewhere"), (302, JSON, "")),
        (
            faults.echo_token(),
            (401, JSON, f'{{"error": "Refused: Authorization: Bearer {TOKEN}", "code": 401}}'),
        ),
    ],
)
def test_a_fault_answers_once_in_place_of_the_service(sim, api, fault, expected):
    sim.inject(fault)
    answer = api.get("/scheduler/")
    assert (answer.status_code, answer.headers["Content-Type"], answer.text) == expected
    assert api.get("/scheduler/").json() == []


@pytest.mark.parametrize(
    ("fault", "name", "value"),
    [
        (faults.rate_limit(), "Retry-After", None),
        (faults.rate_limit(5), "Retry-After", "5"),
        (faults.rate_limit(0.5), "Retry-After", "0.5"),
        (faults.status(503, retry_after=HTTP_DATE), "Retry-After", HTTP_DATE),
        (faults.redirect("http://127.0.0.1:9/elsewhere"), "Location", "http://127.0.0.1:9/elsewhere"),
        (faults.status(204), "Content-Length", None),
    ],
)
def test_a_fault_sends_the_headers_of_its_parameters(sim, api, fault, name, value):
    sim.inject(fault)
    assert api.get("/scheduler/").headers.get(name) == value


def get(opened, sim):
    headers = {"Authorization": f"Bearer {sim.token}"}
    opened.request("GET", "/v2/pixverse/scheduler/available", headers=headers)
    return opened.getresponse()


def test_a_truncated_answer_ends_in_the_middle_of_what_was_promised(sim, api):
    usual = api.get("/scheduler/available").content
    sim.inject(faults.truncated(), times=2)
    with connection_to(sim) as opened:
        answer = get(opened, sim)
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(usual)))
        with pytest.raises(http.client.IncompleteRead) as broken:
            answer.read()
        assert broken.value.partial == usual[: len(usual) // 2]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.get("/scheduler/available")
    assert api.get("/scheduler/available").content == usual


def test_a_reset_closes_the_connection_without_an_answer(sim):
    sim.inject(faults.reset())
    with socket.create_connection(("127.0.0.1", sim.port), timeout=60) as connection:
        connection.sendall(b"GET /v2/pixverse/scheduler/ HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert [(logged.status, logged.fault) for logged in sim.requests] == [(None, "reset")]


def test_a_client_that_does_not_wait_for_a_slow_answer_does_no_harm(sim, api):
    sim.inject(faults.slow(3600))
    with connection_to(sim) as opened:
        opened.request("GET", "/v2/pixverse/scheduler/")
        sim.wait_for_requests(1)
    assert api.get("/scheduler/").json() == []
    assert [logged.status for logged in sim.requests] == [None, 200]


def test_drip_sends_the_usual_answer_in_small_pieces(sim, api):
    usual = api.get("/scheduler/available").content
    sim.inject(faults.drip(0))
    assert api.get("/scheduler/available").content == usual
    sim.inject(faults.drip(0.1))
    with connection_to(sim) as opened:
        answer = get(opened, sim)
        assert answer.headers["Content-Length"] == str(len(usual))
        piece = answer.read1()
    assert usual.startswith(piece)
    assert 0 < len(piece) < len(usual)


@pytest.mark.parametrize("size", [2, 65_538, 65_539, 6 * 1024 * 1024])
def test_an_oversized_answer_is_json_in_chunks(sim, api, size):
    sim.inject(faults.oversized(size))
    answer = api.get("/scheduler/")
    assert (len(answer.content), answer.json()) == (size, [])
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers


def test_a_connection_goes_on_after_a_fault_that_does_not_break_it(sim):
    kept = [faults.drip(0), faults.oversized(), faults.rate_limit(), faults.status(204)]
    kept += [faults.short(10), faults.short(10, chunked=True), faults.throttle(10_000_000)]
    for fault in kept:
        sim.inject(fault)
    with connection_to(sim) as opened:
        opened.auto_open = False
        opened.connect()
        statuses = []
        for _ in [*kept, "the usual answer"]:
            answer = get(opened, sim)
            answer.read()
            statuses.append(answer.status)
    assert statuses == [200, 200, 429, 204, 200, 200, 200, 200]


def test_oversized_is_sent_only_as_fast_as_it_is_read(sim, api):
    sim.inject(faults.oversized(1 << 40))
    with api.get("/scheduler/", stream=True) as answer:
        assert answer.raw.read(1 << 20, decode_content=False).startswith(b"[ ")
    assert api.get("/scheduler/").json() == []


def test_faults_come_in_the_order_they_were_injected_and_are_used_up(sim, api):
    sim.inject(faults.status(500), times=2)
    sim.inject(faults.rate_limit())
    sim.inject(faults.status(503), times=None)
    assert [api.get("/scheduler/").status_code for _ in range(5)] == [500, 500, 429, 503, 503]
    sim.clear_faults()
    assert api.get("/scheduler/").status_code == 200
    assert [logged.fault for logged in sim.requests] == ["status"] * 2 + ["rate_limit"] + ["status"] * 2 + [
        None
    ]


def test_a_fault_waits_for_a_request_with_its_path_and_method(sim, api):
    sim.inject(faults.status(500), path="scheduler/available")
    sim.inject(faults.status(502), path="scheduler/")
    paths = ("scheduler", "scheduler/available/", "scheduler")
    assert [api.get(f"/{path}").status_code for path in paths] == [502, 500, 200]
    sim.inject(faults.status(502), path="videos/create", method="POST")
    assert api.get("/videos/create").status_code == 404
    assert [api.post("/videos/create").status_code for _ in range(2)] == [502, 200]


def test_a_fault_comes_before_the_token_is_checked_and_a_slot_is_taken(sim, api, connect):
    sim.inject(faults.status(502), times=2)
    assert connect(sim, "wrong").get("/scheduler/").status_code == 502
    assert api.post("/videos/create").status_code == 502
    assert sim.free() == 6


LOSSES = [({}, requests.ConnectionError), ({"seconds": 3600}, requests.ReadTimeout)]


@pytest.mark.parametrize(("fault", "jobs"), [(faults.lost_answer, 1), (faults.lost_request, 0)])
@pytest.mark.parametrize("loss", LOSSES, ids=["reset", "silence"])
def test_a_lost_answer_leaves_a_job_and_a_lost_request_none(api, sim, fault, jobs, loss):
    options, error = loss
    sim.inject(fault(**options))
    with pytest.raises(error):
        api.post("/videos/create", timeout=0.5)
    assert len(api.get("/scheduler/").json()) == len(sim.submitted()) == jobs


@pytest.mark.parametrize(("fault", "jobs"), [(faults.lost_answer, 1), (faults.lost_request, 0)])
def test_a_gateway_can_answer_in_place_of_the_service(sim, api, fault, jobs):
    sim.inject(fault(code=504))
    answer = api.post("/videos/create")
    assert (answer.status_code, answer.json()) == (504, {"error": "Gateway Timeout", "code": 504})
    assert len(sim.jobs) == jobs


def test_a_lost_answer_is_replaced_by_any_status_and_body(sim, api):
    sim.inject(faults.lost_answer(code=201, body={"ticket": 7}))
    answer = api.post("/videos/create")
    assert (answer.status_code, answer.json()) == (201, {"ticket": 7})
    sim.inject(faults.lost_answer(code=200, body=""))
    assert api.post("/videos/create").content == b""
    assert len(sim.submitted()) == 2


@pytest.mark.parametrize(
    ("how", "garbled"),
    [
        ("missing", {}),
        ("empty", {"replyRef": ""}),
        ("cut", {"replyRef": "se"}),
        ("upper", {"replyRef": "SEEN"}),
    ],
)
def test_garbled_spoils_a_text_wherever_it_is(sim, api, how, garbled):
    job = sim.start_job(reply_ref="seen")
    sim.inject(faults.garbled("replyRef", how), path="scheduler/available")
    answer = api.get("/scheduler/available")
    (entry,) = answer.json()["executing"]
    assert {name: value for name, value in entry.items() if name == "replyRef"} == garbled
    assert (answer.status_code, entry["id"], len(answer.json()["available"])) == (200, job, 2)
    assert api.get("/scheduler/available").json()["executing"][0]["replyRef"] == "seen"


@pytest.mark.parametrize("fault", [faults.slow, faults.late_answer])
def test_a_slow_or_late_answer_is_the_usual_one(sim, api, fault):
    sim.inject(fault(0.05))
    begin = time.monotonic()
    assert api.post("/videos/create").json() == {"video_id": sim.jobs[0].id}
    assert time.monotonic() - begin >= 0.05


def test_a_fault_for_a_share_meets_about_as_many_and_the_same_with_the_same_seed(connect):
    def met(seed):
        with Simulator(seed=seed) as sim:
            sim.inject(faults.status(500), times=None, share=0.2)
            return [sim.script.next_fault("/") is not None for _ in range(500)]

    first = met(1)
    assert 70 <= sum(first) <= 130
    assert met(1) == first != met(2)


def test_a_fault_for_a_share_is_used_up_only_by_those_that_meet_it_and_others_meet_the_next(sim):
    sim.inject(faults.status(500), times=3, share=0.5)
    sim.inject(faults.html(), times=None)
    met = [sim.script.next_fault("/").name for _ in range(200)]
    assert Counter(met) == {"status": 3, "html": 197}
    assert met[:6] != ["status"] * 3 + ["html"] * 3


def test_a_client_that_resets_does_no_harm(sim, api):
    sim.inject(faults.oversized(1 << 40))
    with socket.create_connection(("127.0.0.1", sim.port), timeout=60) as connection:
        connection.sendall(b"GET /v2/pixverse/scheduler/ HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert api.get("/scheduler/").json() == []
