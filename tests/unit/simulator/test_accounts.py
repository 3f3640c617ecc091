"""How accounts are configured, and what their plans allow."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_pixverse.simulator import Simulator

A, B = "a-1@example.com", "b@example.com"
MOMENT = datetime(2024, 11, 11, 12, 34, 56, tzinfo=UTC)


@pytest.fixture
def frozen():
    with Simulator({A: 3}, clock=MOMENT.timestamp) as simulator:
        yield simulator


def test_accounts_are_shown_by_their_email_without_secrets(frozen, connect):
    assert connect(frozen).get("/accounts").json() == {
        A: {
            "email": A,
            "password": "…secured…",
            "maxJobs": 3,
            "jwt": {"ExpireTimeUTC": "2024-11-12T12:34:56Z", "token": "…secured…"},
        }
    }


def test_a_pending_error_is_shown_until_it_is_mended(sim, api):
    sim.set_pending_error(A, "Please sign in again")
    assert {email: a.get("error") for email, a in api.get("/accounts/").json().items()} == {
        A: "Please sign in again",
        B: None,
    }
    assert api.get(f"/features/?email={A}").status_code == 596
    sim.set_pending_error(A, None)
    assert "error" not in api.get("/accounts").json()[A]
    assert api.get(f"/features/?email={A}").status_code == 200


def test_features_tell_plan_credits_slots_and_expiry(frozen, connect):
    assert connect(frozen).get("/features/").json() == {
        "plan_name": "Premium - Monthly",
        "current_plan_type": 2,
        "credit_daily": 0,
        "credit_monthly": 15_000,
        "credit_package": 0,
        "expired_date": "2024-12-11T12:34:56Z",
        "billing_renewal_date": "2024-12-11T12:34:56Z",
        "gen_simultaneously": 3,
        "off_peak": 1,
    }


def test_a_plan_can_have_expired(frozen, connect):
    frozen.set_expiry(A, datetime(2024, 1, 1, tzinfo=UTC))
    assert connect(frozen).get(f"/features?email={A}").json()["expired_date"] == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize(("query", "status"), [("", 400), ("?email=nobody@example.com", 404)])
def test_features_are_those_of_one_account(api, query, status):
    answer = api.get(f"/features/{query}")
    assert (answer.status_code, answer.json()["error"][:7]) == (status, "email: ")
