"""Accounts and plans, and what is said of those that take no jobs."""

import json
from datetime import UTC, datetime

import pytest

from airflow_pixverse.api.account_troubles import account_troubles
from airflow_pixverse.api.accounts import ACCOUNTS, FEATURES, Account
from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.simulator import faults

from .raw_server import RawServer, answer

NOW = datetime(2026, 6, 1, tzinfo=UTC)
A, B = "a@example.com", "b@example.com"


@pytest.fixture
def client(sim):
    with PixverseClient(sim.token, sim.url, max_retries=0) as client:
        yield client


def account(**fields) -> Account:
    [one] = ACCOUNTS.validate_python({A: fields})
    return one


# Accounts


def test_the_sample_of_the_documents_is_read_without_its_credentials(sim, client):
    sim.respond_with(
        "accounts",
        {
            A: {
                "email": A,
                "jwt": {"ExpireTimeUTC": "2025-01-01T12:13:14.000Z", "Username": "me", "token": "abc…cde"},
                "maxJobs": 8,
                "password": "…secured…",
                "token": "abc",
            },
            B: {"maxJobs": 3, "tier": "new"},
        },
    )
    one, two = client.get_accounts()
    assert (one.email, one.max_jobs, one.error) == (A, 8, None)
    assert one.session_expires_at == datetime(2025, 1, 1, 12, 13, 14, tzinfo=UTC)
    assert one.to_xcom() == {
        "email": A,
        "maxJobs": 8,
        "error": None,
        "session_expires": "2025-01-01T12:13:14.000Z",
    }
    assert (two.email, two.max_jobs, two.session_expires_at, two.model_extra) == (B, 3, None, {"tier": "new"})
    assert Account.model_validate(one.to_xcom()) == one


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"error": "wrong password", "code": 596}, "wrong password"),
        ({"error": {"message": "wrong password", "code": 596}}, "wrong password"),
        ({"error": {"code": 596}}, '{"code": 596}'),
        ({"error": "wrong\npassword"}, "wrong password"),
        ({"error": True}, "true"),
        ({"error": 596}, "596"),
        ({"code": 596}, "596"),
        ({"error": "x" * 1000}, "x" * 299 + "…"),
        ({"error": None, "code": 200}, None),
        ({"error": ""}, None),
        ({"error": {}}, None),
        ({"error": False}, None),
        ({}, None),
    ],
)
def test_a_pending_error_is_told(fields, error):
    assert account(**fields).error == error


@pytest.mark.parametrize(
    "body",
    [
        {A: {}},
        {A: {"email": None}},
        [{"email": A}],
        {A: {"maxJobs": "many", "jwt": 7}},
        {A: {"jwt": {"ExpireTimeUTC": []}}},
    ],
)
def test_an_odd_account_is_read_all_the_same(body):
    [one] = ACCOUNTS.validate_python(body)
    assert (one.email, one.max_jobs, one.session_expires_at) == (A, None, None)


@pytest.mark.parametrize("body", ["x", 7, True])
def test_accounts_of_another_shape_are_trouble(sim, client, body):
    sim.respond_with("accounts", body)
    with pytest.raises(PixverseTransientError, match="another shape"):
        client.get_accounts()


@pytest.mark.parametrize("body", [{A: 7, B: {}}, {A: None, B: {}}, [None, {"email": B}]])
def test_what_is_no_account_does_not_hide_the_others(body):
    assert [one.email for one in ACCOUNTS.validate_python(body)] == [B]


def test_the_number_of_accounts_is_bounded():
    assert len(ACCOUNTS.validate_python({f"{number}@example.com": {} for number in range(1_001)})) == 1_000


def test_a_service_without_accounts_is_an_error(sim, client):
    sim.inject(faults.status(404), path="accounts")
    with pytest.raises(PixverseFatalError, match="404"):
        client.get_accounts()


# Plans


def test_a_plan_is_read_without_links_to_its_bills(sim, client):
    sim.respond_with(
        "features/",
        {
            "plan_name": "Pro Plan",
            "credit_daily": 30,
            "credit_monthly": 5600,
            "credit_package": 20,
            "expired_date": "2026-05-31T21:21:21Z",
            "invoice_url": "https://stripe.example.com/x",
            "stripe_bill_url": "https://stripe.example.com/y",
            "gen_simultaneously": 5,
            "off_peak": 1,
        },
    )
    plan = client.get_features(A)
    assert (plan.email, plan.plan_name, plan.credits, plan.gen_simultaneously) == (A, "Pro Plan", 5650, 5)
    assert plan.expires_at == datetime(2026, 5, 31, 21, 21, 21, tzinfo=UTC)
    assert plan.is_expired(NOW)
    assert plan.is_expired()
    assert not plan.is_expired(datetime(2026, 5, 31, 21, 21, 21, tzinfo=UTC))
    assert "stripe" not in json.dumps(plan.to_xcom())
    assert plan.to_xcom()["off_peak"] == 1


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00Z", "", "soon", None, 7, []])
def test_a_plan_without_a_date_has_not_expired(date):
    plan = FEATURES.validate_python({"expired_date": date})
    assert plan.expires_at is None
    assert not plan.is_expired(NOW)


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({}, None),
        ({"credit_daily": 0}, 0),
        ({"credit_monthly": "7", "credit_package": None}, 7),
        ({"credit_daily": "x"}, None),
    ],
)
def test_credits_count_as_far_as_they_are_told(fields, left):
    assert FEATURES.validate_python(fields).credits == left


@pytest.mark.parametrize(
    ("email", "query"), [(None, b""), ("a+b@example.com", b"?email=a%2Bb%40example.com")]
)
def test_a_plan_is_asked_for_by_the_email_of_the_account(email, query):
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(answer())

    with RawServer(serve) as server:
        assert PixverseClient("t", server.url, max_retries=0).get_features(email).email == email
    assert server.requests[0][1].startswith(b"GET /v2/pixverse/features/" + query + b" HTTP/1.1\r\n")


# What is said of them


def test_accounts_in_error_and_plans_that_have_expired_are_named(sim, client):
    sim.respond_with("accounts", {A: {"error": "wrong password"}, B: {}})
    sim.respond_with("features/", {"expired_date": "2026-05-31T00:00:00Z"})
    in_error = f"Account {A} takes no jobs until it is added again at useapi.net: wrong password"
    expired = f"The plan of account {B} expired on 2026-05-31"
    assert account_troubles(client, now=NOW) == [in_error, expired]
    assert account_troubles(client, B.upper(), now=NOW) == [expired]
    assert account_troubles(client, [A], now=NOW) == [in_error]
    assert account_troubles(client, [], now=NOW) == []
    assert account_troubles(client, now=datetime(2026, 5, 30, tzinfo=UTC)) == [in_error]


def test_an_account_whose_plan_is_refused_for_its_error_is_named(sim, client):
    sim.respond_with("accounts", {A: {}})
    sim.respond_with("features/", {"error": "log in again"}, 596)
    assert account_troubles(client) == [
        f"Account {A} takes no jobs until it is added again at useapi.net: log in again"
    ]
    sim.respond_with("features/", {}, 596)
    assert account_troubles(client)[0].endswith(": 596")


def test_nothing_is_said_where_the_service_does_not_tell(sim, client):
    assert account_troubles(client) == []
    sim.respond_with("accounts", {A: {}, B: {"error": "no"}})
    sim.respond_with("features/", {}, 503)
    before = sim.request_count
    assert account_troubles(client) == []
    assert sim.request_count - before == 2, "it does not ask on"


def test_not_more_than_twenty_accounts_are_asked_about(sim, client):
    sim.respond_with("accounts", {f"{number}@example.com": {} for number in range(100)})
    sim.respond_with("features/", {})
    assert account_troubles(client) == []
    assert sim.request_count == 21
