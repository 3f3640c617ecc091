"""Requests: an endpoint and a payload that a task submits."""

import pytest

from airflow_pixverse.submission.request import SubmitRequest


def parse(endpoint="videos/create", payload=None, emails=None, reply_ref=None):
    return SubmitRequest.parse(
        endpoint, {"prompt": "a cat"} if payload is None else payload, emails, reply_ref
    )


def body(request):
    return request.body(reference="r#1", seed=None, email=None)


@pytest.mark.parametrize(
    "payload",
    [
        '{"prompt": "a cat", "off": true}',
        "{'prompt': 'a cat', 'off': True}",
        {"prompt": "a cat", "off": True},
    ],
)
def test_a_payload_may_have_been_rendered_to_a_string(payload):
    assert body(parse(payload=payload)) == {"prompt": "a cat", "off": True, "replyRef": "r#1"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"endpoint": "scheduler/"}, "endpoint must be a path below"),
        ({"endpoint": "videos/create?x=1"}, "endpoint must be a path below"),
        ({"endpoint": None}, "endpoint must be a path below"),
        ({"payload": "a cat"}, "payload must be an object"),
        ({"payload": ["a cat"]}, "payload must be an object"),
        ({"payload": {"prompt": {1, 2}}}, "payload must be plain JSON"),
        ({"payload": {"prompt": float("nan")}}, "payload must be plain JSON"),
        ({"emails": []}, "emails is empty"),
        ({"emails": "b@x.y", "payload": {"email": "a@x.y"}}, "give only one of the two"),
        ({"payload": {"email": 5}}, "email of the payload must be"),
        ({"reply_ref": "r" * 1008}, "reply_ref must be"),
        ({"payload": {"replyRef": 5}}, "reply_ref must be"),
    ],
)
def test_what_cannot_be_sent_is_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        parse(**parameters)


def test_a_payload_that_has_travelled_with_its_task_has_its_files():
    first = parse(payload={"prompt": "a cat", "first_frame_path": "s3://bucket/a.png"})
    again = SubmitRequest.parse("videos/create", first.payload, None, None, is_parsed=True)
    assert again == first
    assert again.inputs == first.inputs != []


def test_what_the_payload_says_counts_where_the_parameters_say_nothing():
    request = parse(payload={"email": "a@x.y", "replyRef": "mine"})
    assert (request.emails, request.reply_ref) == (["a@x.y"], "mine")
    assert parse(payload={"replyRef": "mine"}, reply_ref="yours").reply_ref == "yours"


def test_the_payload_may_write_its_account_in_another_case():
    request = SubmitRequest.parse("videos/create", {"email": "A@example.com"}, "a@Example.com ", None)
    assert request.emails == ["A@example.com"]


def test_equal_payloads_have_equal_fingerprints_which_tell_nothing():
    one = parse(payload={"a": 1, "b": [1, {"c": None}]}).fingerprint
    assert one == parse(payload={"b": [1, {"c": None}], "a": 1}, endpoint="videos/create/").fingerprint
    others = [
        parse(payload={"a": 1}),
        parse(payload={"a": 1, "b": [1, {"c": None}]}, endpoint="videos/extend"),
    ]
    assert one not in {other.fingerprint for other in others}
    assert "a cat" not in parse().fingerprint


def test_the_first_account_with_room_gets_it():
    chosen = parse(emails=["a@x.y", "b@x.y"])
    assert chosen.account([{"email": "b@x.y"}, {"email": "a@x.y"}]) == "b@x.y"
    assert chosen.account([]) == "a@x.y"
    assert parse().account([{"email": "b@x.y"}]) is None  # the service chooses
