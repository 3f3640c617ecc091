"""The models: tolerant in what they read, exact in what they give."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
def test_a_number_of_jobs_that_is_none_is_unknown(name, number):
    account = AccountCapacity.model_validate({name: number})
    assert account.to_xcom() == {"email": None, "maxJobs": None, "executing": None, "available": 0}


@pytest.mark.parametrize("name", ["maxJobs", "max_jobs", "executing"])
@pytest.mark.parametrize("number", [2.5, "many", -3, None, [], {}, [1]])
def test_a_number_that_cannot_be_read_leaves_the_others_of_its_account(name, number):
    account = AccountCapacity.model_validate({name: number, "available": 2})
    assert (account.max_jobs, account.executing, account.available) == (None, None, 2)


@pytest.mark.parametrize("available", ["many", 2.5, {}, [1], 2**64])
def test_available_is_derived_where_it_cannot_be_read(available):
    account = {"maxJobs": 8, "executing": 3, "available": available}
    assert AccountCapacity.model_validate(account).available == 5


def test_the_number_of_jobs_and_accounts_is_bounded():
    snapshot = CAPACITY.validate_python({"executing": [{}] * 10_001, "available": [{"available": 1}] * 1_001})
    assert (len(snapshot.executing), len(snapshot.accounts)) == (10_000, 1_000)
    assert len(EXECUTING.validate_python([{}] * 10_001)) == 10_000


@pytest.mark.parametrize(
    ("value", "text"),
    [({"a": [1]}, '{"a": [1]}'), (True, "true"), (5, "5"), (1.5, "1.5"), ([], "[]"), (None, None)],
)
@pytest.mark.parametrize("name", ["replyRef", "reply_ref", "replyUrl", "elapsed", "started"])
def test_what_should_be_a_text_and_is_none_is_kept_as_json(name, value, text):
    job = ExecutingJob.model_validate({"id": "x", name: value})
    assert job.to_xcom()[{"reply_ref": "replyRef"}.get(name, name)] == text
    assert job.age(NOW) is None


def test_ids_types_and_e_mails_that_are_no_text_are_kept_as_json_too():
    job = ExecutingJob.model_validate({"videoId": {"a": 1}, "type": True, "email": [2]})
    assert (job.id, job.type, job.email) == ('{"a": 1}', "true", "[2]")
    assert len(ExecutingJob.model_validate({"id": ["x" * 1000]}).id) == 512
    assert len(ExecutingJob.model_validate({"replyRef": ["x" * 100_000]}).reply_ref) == 65_536


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    *(
        "id",
        "video_id",
        "videoId",
        "type",
        "email",
        "started",
        "elapsed",
        "replyUrl",
        "replyRef",
        "reply_ref",
    ),
    *("maxJobs", "max_jobs", "executing", "available", "total", "to_xcom", "_listed", "model_config"),
]
odd_entries = st.lists(
    json_values | st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6), max_size=3
)


@given(before=odd_entries, after=odd_entries)
def test_whatever_is_in_an_entry_the_other_entries_are_read(before, after):
    job = {"id": "user:1-pixverse:a@example.com-video:1", "replyRef": "mine"}
    account = {"email": "\N{BUG}@example.com", "maxJobs": 8, "executing": 3, "available": 2}
    good = ExecutingJob.model_validate(job), AccountCapacity.model_validate(account)
    snapshot = CAPACITY.validate_python(
        {"executing": [*before, job, *after], "available": [*before, account, *after]}
    )
    place = sum(isinstance(entry, dict) for entry in before)
    assert (snapshot.executing[place], snapshot.accounts[place]) == good
    assert EXECUTING.validate_python([*before, job, *after])[place] == good[0]
    assert snapshot.free_slots([good[1].email]) == 2
    entries = place + 1 + sum(isinstance(entry, dict) for entry in after)
    assert len(snapshot.executing) == len(snapshot.accounts) == entries
    assert all(account.available >= 0 and account.total >= account.available for account in snapshot.accounts)


def snapshot_of(*accounts, jobs=0, **other):
    executing = [{"id": f"user:1-pixverse:A@example.com-video:{n}"} for n in range(jobs)]
    return Capacity.model_validate({"available": list(accounts), "executing": executing, **other})


@pytest.mark.parametrize(
    ("account", "jobs", "available", "total"),
    [
        ({"maxJobs": 8, "available": 5}, 0, 5, 5),
        ({"maxJobs": 8, "available": 5}, 2, 5, 7),
        ({"maxJobs": 8, "available": 5, "executing": None}, 2, 5, 7),
        ({"maxJobs": 8, "available": 5, "executing": "some"}, 2, 5, 7),
        ({"maxJobs": 8, "available": 5, "executing": 1}, 2, 5, 6),
        ({"available": 5}, 2, 5, 7),
        ({"maxJobs": 8}, 3, 5, 8),
        ({"maxJobs": 8, "available": "many"}, 3, 5, 8),
        ({"maxJobs": 8, "executing": 1}, 3, 7, 8),
        ({"maxJobs": 2}, 3, 0, 3),
    ],
)
def test_where_an_account_does_not_say_what_it_executes_its_listed_jobs_count(
    account, jobs, available, total
):
    other = {"email": "b@example.com", "maxJobs": 8, "available": 1}
    [first, second] = snapshot_of({"email": "a@example.com", **account}, other, jobs=jobs).accounts
    assert (first.available, first.total, second.total) == (available, total, 1)


def test_an_account_that_is_listed_twice_has_its_jobs_once():
    accounts = snapshot_of(*[{"email": "a@example.com", "available": 1}] * 2, jobs=3).accounts
    assert sum(account.total for account in accounts) == 5


def test_a_job_of_an_unknown_account_is_counted_for_none():
    accounts = snapshot_of({"available": 1}, executing=[{"id": "x"}]).accounts
    assert [account.total for account in accounts] == [1]


def test_the_figure_that_was_missing_is_missing_in_the_json_too():
    accounts = snapshot_of({"email": "a@example.com", "maxJobs": 8, "available": 5}, jobs=2).to_xcom()[
        "available"
    ]
    assert accounts == [{"email": "a@example.com", "maxJobs": 8, "executing": None, "available": 5}]


def test_accounts_that_are_put_into_another_snapshot_keep_their_numbers():
    seen = snapshot_of({"email": "a@example.com", "maxJobs": 8}, jobs=3)
    [account] = Capacity(accounts=[account.model_copy() for account in seen.accounts]).accounts
    assert (account.available, account.total) == (5, 8)


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
    assert accounts_with_room(snapshot, 2, ["a@example.com"]) == [], "what others have free does not count"


def test_a_capacity_goes_to_json_in_the_words_of_the_api():
    body = {
        "executing": [],
        "available": [{"email": "a", "maxJobs": 5, "executing": 0, "available": 5, "tier": None}],
        "note": "new",
    }
    assert Capacity.model_validate(body).to_xcom() == body
