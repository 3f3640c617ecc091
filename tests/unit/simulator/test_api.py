"""The API's own calls, seen by a customer: its accounts, its lists of jobs, and its refusals."""

from datetime import UTC, datetime, timedelta

import pytest

from airflow_pixverse.simulator import Simulator
from tests.unit.simulator.helpers import A, B

STARTED = datetime(2024, 11, 11, 12, 30, 58, 128_000, tzinfo=UTC)  # 03:57.9 before the clock
ID = f"user:1-pixverse:{A}-video:1"
one_account = pytest.mark.pixverse_simulator(accounts={A: 3})


@one_account
def test_accounts_have_their_emails_and_no_secrets(api):
    assert api.get("/accounts").json() == {
        A: {
            "email": A,
            "password": "…secured…",
            "maxJobs": 3,
            "jwt": {"ExpireTimeUTC": "2024-11-12T12:34:56Z", "token": "…secured…"},
        }
    }


def test_a_pending_error_is_shown_until_it_is_fixed(sim, api):
    sim.set_pending_error(A, "Please sign in again")
    errors = {email: account.get("error") for email, account in api.get("/accounts/").json().items()}
    assert errors == {A: "Please sign in again", B: None}
    assert api.get(f"/features/?email={A}").status_code == 596
    sim.set_pending_error(A, None)
    assert "error" not in api.get("/accounts").json()[A]
    assert api.get(f"/features/?email={A}").status_code == 200


@one_account
def test_features_have_plan_credits_slots_and_expiry(sim, api):
    assert api.get("/features/").json() == {
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
    sim.set_expiry(A, datetime(2024, 1, 1, tzinfo=UTC))
    assert api.get(f"/features?email={A}").json()["expired_date"] == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize(("query", "status"), [("", 400), ("?email=nobody@example.com", 404)])
def test_features_are_those_of_one_account(api, query, status):
    answer = api.get(f"/features/{query}")
    assert (answer.status_code, answer.json()["error"][:7]) == (status, "email: ")


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ("2024-12-06", {"videoId": ID}),
        ("2026-03-09", {"id": ID, "type": "video"}),
        ("2026-06-24", {"id": ID, "type": "video"}),
    ],
)
@one_account
def test_jobs_are_written_as_in_the_chosen_revision(sim, api, schema, written):
    sim.schema = schema
    sim.start_job(A, started=STARTED, reply_ref="r")
    usual = {"started": "2024-11-11T12:30:58.128Z", "elapsed": "03:57", "replyUrl": None, "replyRef": "r"}
    assert api.get("/scheduler/").json() == [written | usual]
    # Beside the capacity, a job had another key once.
    executing = {"video_id": ID} if "videoId" in written else written
    assert api.get("/scheduler/available").json() == {
        "executing": [executing | usual],
        "available": [{"email": A, "maxJobs": 3, "executing": 1, "available": 2}],
    }


def test_minutes_of_elapsed_go_on_past_an_hour_and_do_not_run_backwards(sim, api):
    sim.start_job(A, started=STARTED - timedelta(hours=2))
    sim.start_job(A, started=STARTED + timedelta(hours=2))
    assert [job["elapsed"] for job in api.get("/scheduler/").json()] == ["123:57", "00:00"]


@pytest.mark.parametrize(
    ("schema", "types"), [("2026-03-09", {"video", "image"}), ("2026-06-24", {"video", "image", "music"})]
)
def test_other_users_submit_the_types_of_job_the_revision_knows(connect, schema, types):
    times = iter([0.0])
    options = {"schema": schema, "arrivals": 60, "clock": lambda: next(times, 600.0)}
    with Simulator({A: 1000}, **options) as simulator:
        executing = connect(simulator).get("/scheduler/available").json()["executing"]
        assert {job["type"] for job in executing} == types


@pytest.mark.parametrize(
    ("schema", "listed", "with_capacity"),
    [("2024-12-06", 1, 1), ("2026-03-09", 2, 2), ("2026-06-24", 2, 3)],
)
@pytest.mark.pixverse_simulator(accounts={A: 9})
def test_a_list_leaves_out_the_types_of_job_that_its_page_leaves_out(sim, api, schema, listed, with_capacity):
    sim.schema = schema
    jobs = [sim.start_job(A, type=kind) for kind in ("video", "image", "music", "speech")]
    capacity = api.get("/scheduler/available").json()
    assert [next(iter(job.values())) for job in api.get("/scheduler/").json()] == jobs[:listed]
    assert [next(iter(job.values())) for job in capacity["executing"]] == jobs[:with_capacity]
    assert capacity["available"][0]["executing"] == len(jobs), "each takes a slot"


def test_answers_are_dated_by_the_clock_of_the_service(api):
    assert api.get("/scheduler/").headers["Date"] == "Mon, 11 Nov 2024 12:34:56 GMT"


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        *(("GET", f"scheduler{rest}", 200, None) for rest in ("", "/", "/available", "/available/")),
        *(("GET", path, 404, "Not Found") for path in ("nothing", "scheduler/available/more", "scheduler//")),
        ("PUT", "scheduler/", 405, "Method Not Allowed"),
    ],
)
def test_a_path_is_known_with_and_without_a_slash_for_its_method_only(api, method, path, status, error):
    answer = api.request(method, f"/{path}")
    assert answer.status_code == status
    assert error is None or answer.json() == {"error": error, "code": status}


@pytest.mark.parametrize("token", ["", "user:1-tes", "user:1-test2", "USER:1-TEST"])
def test_anything_but_the_exact_token_is_unauthorized(sim, connect, token):
    answer = connect(sim, token).get("/scheduler/")
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized", "code": 401})


def test_a_replaced_token_is_the_only_one_that_works(sim, api, connect):
    sim.token = "user:1-new"
    assert [client.get("/scheduler/").status_code for client in (api, connect(sim))] == [401, 200]


def test_cancelling_stops_the_tracking_of_a_job_once(sim, api):
    job = sim.start_job(A)
    encoded = job.replace(":", "%3A").replace("@", "%40")
    assert api.delete(f"/scheduler/{encoded}").status_code == 400, "as the service does"
    assert sim.free(A) == 2
    assert api.delete(f"/scheduler/{job}").status_code == 204
    assert sim.free(A) == 3
    again = api.delete(f"/scheduler/{job}")
    assert (again.status_code, again.json()["code"]) == (404, 404)
    assert job in again.json()["error"]
