"""The models: tolerant in what they read, exact in what they give."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from airflow_pixverse.api.models import (
    CAPACITY,
    EXECUTING,
    AccountCapacity,
    Capacity,
    ExecutingJob,
    accounts_with_room,
)

NOW = datetime(2024, 9, 25, 3, 0, tzinfo=UTC)


def capacity(**free):
    return Capacity.model_validate(
        {"available": [{"email": f"{name}@Example.com", "available": slots} for name, slots in free.items()]}
    )


@pytest.mark.parametrize("spelling", ["id", "video_id", "videoId"])
def test_every_spelling_of_the_id_is_read_and_written_as_id(spelling):
    job = ExecutingJob.model_validate({"id": None, spelling: "x"})
    assert job.id == "x"
    assert set(job.to_xcom()) == {"id", "type", "email", "started", "elapsed", "replyUrl", "replyRef"}


@pytest.mark.parametrize(
    ("job_id", "email"),
    [
        ("user:1234-pixverse:mary-jane-video@ex-ample.com-image:99", "mary-jane-video@ex-ample.com"),
        ("something else", None),
        (None, None),
        (17, None),
    ],
)
def test_the_account_is_parsed_from_the_id(job_id, email):
    assert ExecutingJob.model_validate({"id": job_id}).email == email


@pytest.mark.parametrize("length", [511, 512, 513, 100_000])
def test_the_length_of_names_is_bounded(length):
    job = ExecutingJob.model_validate({"id": "x" * length, "type": "y" * length, "email": "z" * length})
    assert {len(job.id), len(job.type), len(job.email)} == {min(length, 512)}
    assert len(AccountCapacity.model_validate({"email": "z" * length}).email) == min(length, 512)


def test_names_are_one_line_so_that_they_may_be_logged():
    job = ExecutingJob.model_validate(
        {"id": "a\nb", "type": "v\x1b[0m", "email": "e\N{RIGHT-TO-LEFT OVERRIDE}"}
    )
    assert (job.id, job.type, job.email) == ("a b", "v", "e")
    assert AccountCapacity.model_validate({"email": "a\r\nb"}).email == "a b"


@pytest.mark.parametrize("name", ["maxJobs", "executing", "available"])
@pytest.mark.parametrize("number", [2**64, -(2**64), "18446744073709551616", 1e300, 1_000_001, "9" * 5000])
def test_a_number_of_jobs_that_is_none_is_refused(name, number):
    with pytest.raises(ValidationError):
        AccountCapacity.model_validate({name: number})


def test_the_number_of_jobs_and_accounts_is_bounded():
    snapshot = CAPACITY.validate_python({"executing": [{}] * 10_001, "available": [{"available": 1}] * 1_001})
    assert (len(snapshot.executing), len(snapshot.accounts)) == (10_000, 1_000)
    assert len(EXECUTING.validate_python([{}] * 10_001)) == 10_000


@pytest.mark.parametrize("item", [{}, {"type": None}, {"id": "x"}])
def test_a_job_without_type_is_a_video(item):
    assert ExecutingJob.model_validate(item).type == "video"


@pytest.mark.parametrize(
    ("item", "age"),
    [
        ({"started": "2024-09-25T02:00:00.000Z", "elapsed": "00:01"}, timedelta(hours=1)),
        ({"started": "2024-09-25T02:00:00"}, timedelta(hours=1)),
        ({"started": "yesterday", "elapsed": "61:05"}, timedelta(minutes=61, seconds=5)),
        ({"elapsed": "1:00:05"}, timedelta(hours=1, seconds=5)),
        ({"elapsed": "99999999999999:00"}, None),
        ({"started": None, "elapsed": None}, None),
    ],
)
def test_age_comes_from_started_and_else_from_elapsed(item, age):
    assert ExecutingJob.model_validate(item).age(NOW) == age


@pytest.mark.parametrize(
    ("item", "available"),
    [
        ({"maxJobs": 8, "executing": 3, "available": 2}, 2),
        ({"maxJobs": 8, "executing": 3}, 5),
        ({"maxJobs": 8, "executing": 3, "available": None}, 5),
        ({"maxJobs": 8}, 8),
        ({"maxJobs": 2, "executing": 3}, 0),
        ({"available": -1}, 0),
        ({"executing": 1}, 0),
        ({"available": "4"}, 4),
        ({}, 0),
    ],
)
def test_available_is_trusted_derived_only_where_missing_and_never_negative(item, available):
    assert AccountCapacity.model_validate(item).available == available


def test_emails_compare_case_insensitively():
    assert capacity(a=2, b=3).free_slots(["A@EXAMPLE.COM "]) == 2
    assert capacity(a=2, b=3).free_slots("b@example.com") == 3
    assert capacity(a=2, b=3).free_slots() == 5
    assert capacity(a=2, b=3).free_slots([]) == 0


def test_an_account_that_is_not_listed_has_no_capacity():
    assert capacity(a=2).free_slots(["other@example.com"]) == 0


def test_the_slots_of_the_chosen_accounts_count_together_and_come_most_free_first():
    snapshot = capacity(a=1, b=0, c=3)
    assert [account.available for account in accounts_with_room(snapshot, 4)] == [3, 1]
    assert accounts_with_room(snapshot, 5) == []
    assert [account.email for account in accounts_with_room(snapshot, 1, ["a@example.com"])] == [
        "a@Example.com"
    ]
    assert accounts_with_room(snapshot, 1, ["b@example.com"]) == []


def test_a_capacity_goes_to_json_in_the_words_of_the_api():
    body = {
        "executing": [],
        "available": [{"email": "a", "maxJobs": 5, "executing": 0, "available": 5, "tier": None}],
        "note": "new",
    }
    assert Capacity.model_validate(body).to_xcom() == body
