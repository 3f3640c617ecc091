"""Whatever a server sends, what leaves the client is plain JSON that Airflow and its databases can carry."""

import json
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_pixverse.api.accounts import account_problems
from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.simulator import Simulator
from tests.helpers.clients import client_of

try:
    from airflow.sdk.serde import deserialize, serialize
except ImportError:
    from airflow.serialization.serde import deserialize, serialize  # Airflow before 3.2

try:
    from msgspec.msgpack import encode as pack  # what a triggerer of Airflow 3 sends its events with
except ImportError:
    pack = json.dumps

RESERVED = ["__classname__", "__version__", "__data__", "__type", "__var", "\x00__type"]
texts = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    [*RESERVED, "user:1-s3cr3t-token", "\ud800"]
)
numbers = st.integers() | st.sampled_from([2**63, 2**64, -(2**64), 10**30]) | st.floats()
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


def objects(*names):
    """Return objects with some fields of these names, most of them of a kind that is accepted."""
    fields = {name: texts | st.integers(0, 9) | numbers | values for name in names}
    return st.builds(lambda known, other: other | known, st.fixed_dictionaries({}, optional=fields), others)


others = st.dictionaries(texts, values, max_size=2)
jobs = objects("id", "video_id", "type", "email", "started", "elapsed", "replyUrl", "replyRef")
accounts = objects("email", "maxJobs", "executing", "available")
snapshots = st.builds(
    lambda executing, available, other: other | {"executing": executing, "available": available},
    st.lists(jobs, max_size=3),
    st.lists(accounts, max_size=3),
    others,
)
errors = objects("error", "code", "message")
JOB = "user:1-pixverse:a@example.com-video:1"
results = objects(
    *("id", "video_id", "image_id", "audio_id", "success_ids", "kind", "email", "prompt", "replyRef"),
    *("state", "video_status", "video_status_name", "image_status", "audio_status_name"),
    *("url", "image_url", "seed", "created_at", "fail_reason", "error", "next_offset", "has_more"),
)
configured = objects("email", "maxJobs", "error", "code", "jwt", "password")
plans = objects("plan_name", "expired_date", "credit_daily", "credit_monthly", "gen_simultaneously")
lists = st.builds(lambda rows, page: page | {"data": rows}, st.lists(results, max_size=3), results)


@pytest.fixture(scope="module")
def server():
    with Simulator(token="user:1-s3cr3t-token") as simulator:
        yield simulator


def check(payload):
    """Fail unless Airflow's messages, its XComs and its databases can carry the payload."""
    pack(payload)
    text = json.dumps(payload, allow_nan=False, ensure_ascii=False)
    assert "\x00" not in text.encode().decode()
    assert "s3cr3t" not in text
    assert deserialize(serialize(payload)) == payload


def check_call(call):
    """Fail unless the result of a call, or its error, is such a payload."""
    try:
        payload = call()
    except PixverseError as error:
        payload = {"type": type(error).__name__, "message": str(error), **vars(error)}
    check(payload)


def told_of(result):
    result.raise_for_failure()
    return [result.to_xcom(), result.is_finished, result.reason, str(result.created)]


@given(
    body=snapshots | st.lists(jobs, max_size=3) | errors | values,
    status=st.sampled_from([200, 200, 400, 503]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(body={"available": [{"email": "\ud800", "maxJobs": 2**64, "available": 1}]}, status=200)
@example(body={"available": [{"available": 1, "x": 2**64, "__classname__": "x"}]}, status=200)
@example(body={"error": "\ud800", "code": 2**70}, status=200)
@example(body=[{"id": 1, "deep": json.loads("[" * 200 + "]" * 200)}], status=200)
def test_capacity_and_executing_jobs_leave_the_client_as_plain_json(server, body, status):
    for path in ("scheduler/", "scheduler/available"):
        server.respond_with(path, json.dumps(body).encode(), status)
    with client_of(server, label="connection 'px'") as client:
        calls = (
            lambda: [job.to_xcom() for job in client.list_executing()],
            lambda: client.get_capacity().to_xcom(),
            lambda: client.request("GET", "scheduler/"),
        )
        for call in calls:
            check_call(call)


@given(
    body=results | lists | st.dictionaries(texts, configured, max_size=3) | plans | errors | values,
    status=st.sampled_from([200, 200, 404, 429, 503]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(body={"video_id": 2**64, "video_status": 8, "fail_reason": "\ud800", "__type": 1}, status=200)
@example(body={"success_ids": ["user:1-s3cr3t-token", 2**70]}, status=200)
@example(
    body={"data": [{"seed": "9" * 30, "video_status_name": "FAILED", "error": {"message": "\x00"}}]},
    status=200,
)
@example(body={"a": {"error": {"__type": 2**70}, "jwt": {"ExpireTimeUTC": 2**70}}}, status=200)
def test_results_and_accounts_leave_the_client_as_plain_json(server, body, status):
    for path in ("videos/create", f"videos/{JOB}", "videos/", "accounts", "features/", f"scheduler/{JOB}"):
        server.respond_with(path, json.dumps(body).encode(), status)

    with client_of(server, label="connection 'px'") as client:
        calls = (
            lambda: client.submit("videos/create", {})._asdict(),
            lambda: told_of(client.get_result(JOB)),
            lambda: client.list_results("video").to_xcom(),
            lambda: [account.to_xcom() for account in client.get_accounts()],
            lambda: client.get_features("a@example.com").to_xcom(),
            lambda: str(client.get_features().expires_at),
            lambda: client.cancel(JOB),
            lambda: account_problems(client),
        )
        for call in calls:
            check_call(call)
        with suppress(PixverseError):
            for result in client.list_results("video").results:
                check_call(partial(told_of, result))


@given(st.binary(max_size=50))
@settings(deadline=None)
@example(b"1" * 5000)
@example(b"[" * 100_000)
@example(b'{"available": [{"maxJobs": ' + b"9" * 5000 + b"}]}")
def test_bytes_of_any_kind_are_an_answer_or_an_error_of_the_api(server, body):
    server.respond_with("scheduler/available", body)
    with client_of(server) as client:
        check_call(lambda: client.get_capacity().to_xcom())
