"""Cost of jobs: as far as it is known, and how it is told."""

import pytest

from airflow_pixverse.api.credits import known_credits, read_credits
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.reports.cost import Cost
from airflow_pixverse.simulator import faults
from airflow_pixverse.waits.submit_state import SubmitState

JOB = "user:1-pixverse:studio-1@example.com-video:7"
ONE = pytest.mark.pixverse_simulator(accounts={"studio@example.com": 3})


@pytest.mark.parametrize(
    ("known", "line"),
    [
        ({}, ""),
        ({"cost_credits": 20}, "Job 7 cost 20 credits"),
        (
            {"cost_credits": 20, "credits_before": 100},
            "Job 7 cost 20 credits; account a@b.c had 100 before",
        ),
        (
            {"cost_credits": 20, "credits_after": 0},
            "Job 7 cost 20 credits; account a@b.c has 0 now",
        ),
        (
            {"cost_credits": 0, "credits_before": 100, "credits_after": 100},
            "Job 7 cost 0 credits; account a@b.c had 100 before and has 100 now",
        ),
        (
            {"credits_before": 100, "credits_after": 80},
            "Job 7: the API did not say what it cost; account a@b.c had 100 before and has 80 now",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_log_has_what_is_known(known, line):
    assert Cost(email="a@b.c", **known).describe(["7"]) == line


def test_several_jobs_and_an_account_without_a_name_are_told_of_too():
    assert Cost(cost_credits=60, credits_after=5).describe(["7", "8"]) == (
        "Jobs 7, 8 cost 60 credits; the account has 5 now"
    )


def test_the_account_is_the_one_in_the_id():
    state = SubmitState(waiting_since=0.0, job_ids=("7", JOB), cost_credits=20, credits_before=100)
    assert Cost.of(state) == Cost(cost_credits=20, credits_before=100, email="studio-1@example.com")
    assert Cost.of(SubmitState(waiting_since=0.0, job_ids=("7",))) == Cost()


def test_what_the_service_says_in_a_result_is_kept():
    result = Cost(cost_credits=20, credits_before=100, email="a@b.c").added_to(
        {"id": "7", "cost_credits": 15}
    )
    assert result == {"id": "7", "cost_credits": 15, "credits_before": 100, "credits_after": None}


@pytest.mark.parametrize("value", [None, "20", 7.5, True, -1, 2**63, [20]])
def test_what_is_no_number_of_credits_is_not_known(value):
    assert known_credits(value) is None


@ONE
def test_the_credits_of_the_only_account_can_be_known_without_its_name(sim):
    sim.set_credits("studio@example.com", 0)
    assert read_credits(PixverseHook(max_retries=0), None) == 0


def test_of_several_accounts_one_must_be_named(sim, caplog):
    caplog.set_level("WARNING")
    sim.set_credits("a-1@example.com", 7)
    hook = PixverseHook(max_retries=0)
    assert read_credits(hook, None) is None
    assert read_credits(hook, "A-1@example.com") == 7
    assert caplog.messages == []


def test_a_service_in_trouble_is_asked_once_and_named_in_one_line(sim, caplog):
    caplog.set_level("WARNING")
    sim.inject(faults.status(503), times=None)
    assert read_credits(PixverseHook(max_retries=0), None) is None
    assert sim.request_count == 1
    [line] = caplog.messages
    assert line.startswith("The credits of the account are not known: ")


def test_a_connection_that_cannot_be_used_is_trouble_too(sim, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", '{"conn_type": "http"}')
    assert read_credits(PixverseHook(max_retries=0), "a-1@example.com") is None
    assert "The credits of a-1@example.com are not known: connection 'pixverse_default'" in caplog.text
