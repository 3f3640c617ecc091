"""Accounts and plans, and the problems of those that take no jobs."""

from datetime import UTC, datetime

import pytest

from airflow_pixverse.api.accounts import ACCOUNTS, FEATURES, Account, account_problems
from airflow_pixverse.api.errors import PixverseTransientError
from tests.helpers.clients import client_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
A, B = "a@example.com", "b@example.com"


def account(**fields) -> Account:
    [one] = ACCOUNTS.validate_python({A: fields})
    return one


# Accounts


def test_accounts_of_the_documents_are_read_without_credentials(sim, client):
    session = {"ExpireTimeUTC": "2025-01-01T12:13:14.000Z", "Username": "me", "token": "abc…cde"}
    first = {"email": A, "jwt": session, "maxJobs": 8, "password": "…secured…", "token": "abc"}
    sim.respond_with("accounts", {A: first, B: {"maxJobs": 3, "tier": "new"}})
    one, two = client.get_accounts()
    assert (one.email, one.max_jobs, one.error) == (A, 8, None)
    assert one.session_expires_at == datetime(2025, 1, 1, 12, 13, 14, tzinfo=UTC)
    session_expires = "2025-01-01T12:13:14.000Z"
    assert one.to_xcom() == {"email": A, "maxJobs": 8, "error": None, "session_expires": session_expires}
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
        *[({"error": none, "code": 200}, None) for none in (None, "", {}, False)],
        ({}, None),
    ],
)
def test_account_has_its_pending_error_as_one_line(fields, error):
    assert account(**fields).error == error


ODD = [{A: {"maxJobs": "many", "jwt": 7}}, {A: {"jwt": {"ExpireTimeUTC": []}}}]


@pytest.mark.parametrize("body", [{A: {}}, {A: {"email": None}}, [{"email": A}], *ODD])
def test_account_with_odd_fields_is_read(body):
    [one] = ACCOUNTS.validate_python(body)
    assert (one.email, one.max_jobs, one.session_expires_at) == (A, None, None)


@pytest.mark.parametrize("body", ["x", 7, True])
def test_accounts_of_another_shape_are_transient(sim, client, body):
    sim.respond_with("accounts", body)
    with pytest.raises(PixverseTransientError, match="another shape"):
        client.get_accounts()


@pytest.mark.parametrize("body", [{A: 7, B: {}}, {A: None, B: {}}, [None, {"email": B}]])
def test_entry_that_is_no_account_hides_no_other(body):
    assert [one.email for one in ACCOUNTS.validate_python(body)] == [B]


def test_number_of_accounts_that_are_read_is_bounded():
    assert len(ACCOUNTS.validate_python({f"{number}@example.com": {} for number in range(1_001)})) == 1_000


# Plans


def test_plan_is_read_without_links_to_its_bills(sim, client):
    plan = {
        "plan_name": "Pro Plan",
        "credit_daily": 30,
        "credit_monthly": 5600,
        "credit_package": 20,
        "expired_date": "2026-05-31T21:21:21Z",
        "gen_simultaneously": 5,
        "off_peak": 1,
    }
    bills = {"invoice_url": "https://stripe.example.com/x", "stripe_bill_url": "https://stripe.example.com/y"}
    sim.respond_with("features/", plan | bills)
    read = client.get_features(A)
    ends = datetime(2026, 5, 31, 21, 21, 21, tzinfo=UTC)
    assert (read.credits, read.expires_at) == (5650, ends)
    assert [read.is_expired(NOW), read.is_expired(), read.is_expired(ends)] == [True, True, False]
    assert read.to_xcom() == plan | {"email": A}


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00Z", "", "soon", None, 7, []])
def test_plan_without_a_date_has_not_expired(date):
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
def test_credits_of_a_plan_are_the_sum_of_those_known(fields, left):
    assert FEATURES.validate_python(fields).credits == left


@pytest.mark.parametrize(
    ("email", "query"), [(None, b""), ("a+b@example.com", b"?email=a%2Bb%40example.com")]
)
def test_plan_is_asked_for_by_the_email_of_the_account(raw_server, email, query):
    server = raw_server()
    assert client_of(server).get_features(email).email == email
    assert server.requests[0][1].startswith(b"GET /v2/pixverse/features/" + query + b" HTTP/1.1\r\n")


# Problems


def test_problems_name_accounts_in_error_and_expired_plans(sim, client):
    sim.respond_with("accounts", {A: {"error": "wrong password"}, B: {}})
    sim.respond_with("features/", {"expired_date": "2026-05-31T00:00:00Z"})
    in_error = f"Account {A} takes no jobs until it is added again at useapi.net: wrong password"
    expired = f"The plan of account {B} expired on 2026-05-31"
    assert account_problems(client, now=NOW) == [in_error, expired]
    assert account_problems(client, B.upper(), now=NOW) == [expired]
    assert account_problems(client, [A], now=NOW) == [in_error]
    assert account_problems(client, [], now=NOW) == []
    assert account_problems(client, now=datetime(2026, 5, 30, tzinfo=UTC)) == [in_error]


def test_problems_name_an_account_whose_plan_is_refused_for_its_error(sim, client):
    sim.respond_with("accounts", {A: {}})
    sim.respond_with("features/", {"error": "log in again"}, 596)
    assert account_problems(client) == [
        f"Account {A} takes no jobs until it is added again at useapi.net: log in again"
    ]
    sim.respond_with("features/", {}, 596)
    assert account_problems(client)[0].endswith(": 596")


def test_problems_end_where_the_service_does_not_tell(sim, client):
    assert account_problems(client) == []
    sim.respond_with("accounts", {A: {}, B: {"error": "no"}})
    sim.respond_with("features/", {}, 503)
    before = sim.request_count
    assert account_problems(client) == []
    assert sim.request_count - before == 2, "it does not ask on"


def test_problems_are_looked_for_in_twenty_accounts_at_most(sim, client):
    sim.respond_with("accounts", {f"{number}@example.com": {} for number in range(100)})
    sim.respond_with("features/", {})
    assert account_problems(client) == []
    assert sim.request_count == 21
