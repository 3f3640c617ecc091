"""Lists of results: asked for, and read in any shape that they have."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.api.kinds import FOLDERS
from airflow_pixverse.api.results import RESULTS
from tests.helpers.clients import client_of
from tests.helpers.raw_server import answer

VIDEO = "user:1-pixverse:mary-jane@example.com-video:34"


@pytest.mark.parametrize(("kind", "folder"), FOLDERS.items())
def test_list_is_asked_for_with_what_is_given(raw_server, kind, folder):
    server = raw_server(answer(b'{"data": []}'))
    with client_of(server) as client:
        assert client.list_results(kind).results == []
        client.list_results(kind, email="a+b@example.com", limit=5, offset=0)
    targets = [urlsplit(data.split(b" ")[1].decode()) for _, data in server.requests]
    assert {target.path for target in targets} == {f"/v2/pixverse/{folder}/"}
    assert targets[0].query == ""
    assert parse_qs(targets[1].query) == {"email": ["a+b@example.com"], "limit": ["5"], "offset": ["0"]}


def test_list_is_read_with_what_its_rows_have(sim, client):
    row = {"video_id": VIDEO, "video_status": 10, "seed": 7, "replyRef": "r"}
    rows = [
        row | {"created_at": "2024-11-11T12:34:56Z"},
        {"video_id": f"{VIDEO}5", "video_status": 1, "url": "https://media.example.com/1.mp4"},
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
    ("body", "ids"),
    [
        ({"data": [{"video_id": VIDEO}]}, [VIDEO]),
        ([{"video_id": VIDEO}], [VIDEO]),
        ({"items": [{"video_id": VIDEO}], "next_offset": "soon", "has_more": "perhaps"}, [VIDEO]),
        ({"videos": [{"video_id": VIDEO}], "next_offset": None, "has_more": None}, [VIDEO]),
        ({"data": None}, []),
    ],
)
def test_list_is_found_whatever_it_is_called(body, ids):
    page = RESULTS.validate_python(body, context={"kind": "video"})
    assert [job.id for job in page.results] == ids
    assert (page.next_offset, page.has_more) == (None, None)


@pytest.mark.parametrize(
    "body", [{}, {"next_offset": 3}, {"data": {}}, {"data": "x"}, {"data": [None]}, {"data": ["x"]}, 7]
)
def test_list_that_cannot_be_read_is_transient_and_not_empty(sim, client, body):
    sim.respond_with("videos/", body)
    with pytest.raises(PixverseTransientError, match="another shape"):
        client.list_results("video")


def test_list_has_a_bounded_length():
    assert len(RESULTS.validate_python([{}] * 10_001).results) == 10_000
