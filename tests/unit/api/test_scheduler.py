"""Executing jobs and capacity: read in every revision of the API, however odd, and given in one form."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.api.scheduler import (
    CAPACITY,
    EXECUTING,
    AccountCapacity,
    Capacity,
    ExecutingJob,
    accounts_with_room,
    describe_room,
    obstacles,
)
from airflow_pixverse.simulator import Simulator
from tests.helpers.clients import client_of

NOW = datetime(2024, 9, 25, 3, 0, tzinfo=UTC)
EMAIL = "a-1@example.com"


def capacity(**free):
    return Capacity.model_validate(
        {"available": [{"email": f"{name}@Example.com", "available": slots} for name, slots in free.items()]}
    )


def snapshot_of(*accounts, jobs=0, **other):
    executing = [{"id": f"user:1-pixverse:A@example.com-video:{n}"} for n in range(jobs)]
    return Capacity.model_validate({"available": list(accounts), "executing": executing, **other})


# Answers


@pytest.mark.parametrize("revision", ["2024-12-06", "2026-03-09", "2026-06-24"])
def test_answers_of_every_revision_become_the_same_models(revision):
    with Simulator({EMAIL: 3, "b@example.com": 2}, schema=revision) as sim:
        job_id = sim.start_job(EMAIL, reply_url="https://example.com/done", reply_ref="mine")
        with client_of(sim) as client:
            [job] = client.list_executing()
            capacity = client.get_capacity()
        paths = [(request.method, request.path) for request in sim.requests]
    assert paths == [("GET", "/v2/pixverse/scheduler/"), ("GET", "/v2/pixverse/scheduler/available")]
    assert (job.id, job.type, job.email) == (job_id, "video", EMAIL)
    assert (job.reply_url, job.reply_ref) == ("https://example.com/done", "mine")
    assert job.started_at is not None
    assert capacity.executing[0].id == job_id
    free = [(account.email, account.available) for account in capacity.accounts]
    assert free == [(EMAIL, 2), ("b@example.com", 2)]


def test_capacity_of_the_documents_is_read(sim, client):
    job_id = "user:user_id-pixverse:email-video:id1"
    sim.respond_with(
        "scheduler/available",
        {
            "executing": [{"video_id": job_id, "started": "2024-09-25T01:55:16.128Z"}],
            "available": [{"email": "<email_2>", "maxJobs": 8, "executing": 3, "available": 2}],
        },
    )
    capacity = client.get_capacity()
    assert (capacity.executing[0].id, capacity.executing[0].email) == (job_id, "email")
    assert capacity.free_slots() == 2, "available counts, not maxJobs - executing"


@pytest.mark.parametrize("body", [{}, {"executing": None, "available": None}, {"available": []}])
def test_capacity_that_says_nothing_has_no_slots(sim, client, body):
    sim.respond_with("scheduler/available", body)
    assert client.get_capacity().free_slots() == 0


NO_LIST = [7, "text", {"available": "soon"}, {"available": {}}, {"executing": {"id": "x"}}]


@pytest.mark.parametrize(
    ("path", "call", "body"),
    [
        *[("scheduler/available", "get_capacity", body) for body in [[], [{"available": 1}], *NO_LIST]],
        *[("scheduler/", "list_executing", body) for body in [{}, {"executing": []}, *NO_LIST]],
    ],
)
def test_body_of_another_shape_is_transient(sim, client, path, call, body):
    sim.respond_with(path, body)
    with pytest.raises(PixverseTransientError, match="another shape"):
        getattr(client, call)()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    *("id", "video_id", "videoId", "type", "email", "started", "elapsed"),
    *("replyUrl", "replyRef", "reply_ref"),
    *("maxJobs", "max_jobs", "executing", "available", "total", "to_xcom", "_listed", "model_config"),
]
odd_entries = st.lists(
    json_values | st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6), max_size=3
)


@given(before=odd_entries, after=odd_entries)
def test_odd_entry_hides_no_other_entry(before, after):
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


def test_number_of_jobs_and_accounts_that_are_read_is_bounded():
    snapshot = CAPACITY.validate_python({"executing": [{}] * 2_001, "available": [{"available": 1}] * 101})
    assert (len(snapshot.executing), len(snapshot.accounts)) == (2_000, 100)
    assert len(EXECUTING.validate_python([{}] * 2_001)) == 2_000


# Executing jobs


@pytest.mark.parametrize("spelling", ["id", "video_id", "videoId"])
def test_id_in_every_spelling_is_written_as_id(spelling):
    job = ExecutingJob.model_validate({"id": None, spelling: "x", "mood": {"deep": [None]}, "gone": None})
    absent = dict.fromkeys(["email", "started", "elapsed", "replyUrl", "replyRef"])
    assert job.to_xcom() == {
        "id": "x", "type": "video", **absent, "mood": {"deep": [None]}, "gone": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "name"),
    [
        *[("x" * length, "x" * length) for length in (511, 512)],
        *[("x" * length, "x" * 511 + "…") for length in (513, 100_000)],
        *[("a\r\nb", "a b"), ("v\x1b[0m", "v"), ("e\N{RIGHT-TO-LEFT OVERRIDE}", "e")],
        *[({"a": 1}, '{"a": 1}'), (True, "true"), ([2], "[2]"), (["x" * 1000], '["' + "x" * 509 + "…")],
    ],
)
def test_name_is_one_short_line_that_may_be_logged(given, name):
    job = ExecutingJob.model_validate({"id": given, "type": given, "email": given})
    assert (job.id, job.type, job.email) == (name, name, name)
    assert AccountCapacity.model_validate({"email": given}).email == name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[({"a": [1]}, '{"a": [1]}'), (True, "true"), (5, "5"), (1.5, "1.5"), ([], "[]"), (None, None)],
        (["x" * 100_000], '["' + "x" * 65_533 + "…"),
    ],
)
@pytest.mark.parametrize("name", ["replyRef", "reply_ref", "replyUrl", "elapsed", "started"])
def test_text_of_another_type_is_kept_as_json(name, value, text):
    job = ExecutingJob.model_validate({"id": "x", name: value})
    assert job.to_xcom()[{"reply_ref": "replyRef"}.get(name, name)] == text
    assert job.age(NOW) is None


@pytest.mark.parametrize("item", [{}, {"type": None}, {"id": "x"}])
def test_job_without_type_is_a_video(item):
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


# Accounts


OUT_OF_BOUNDS = [2**64, -(2**64), "18446744073709551616", 1e300, 1_000_001, "9" * 5000]


@pytest.mark.parametrize("name", ["maxJobs", "max_jobs", "executing"])
@pytest.mark.parametrize("number", [2.5, "many", -3, None, [], {}, [1], *OUT_OF_BOUNDS])
def test_number_of_jobs_that_cannot_be_read_is_unknown_and_hides_no_other(name, number):
    account = AccountCapacity.model_validate({name: number, "available": 2})
    assert (account.max_jobs, account.executing, account.available) == (None, None, 2)


@pytest.mark.parametrize(
    ("item", "available"),
    [
        ({"maxJobs": 8, "executing": 3, "available": 2}, 2),
        ({"maxJobs": 8, "executing": 3}, 5),
        *[
            ({"maxJobs": 8, "executing": 3, "available": odd}, 5)
            for odd in (None, "many", 2.5, {}, [1], *OUT_OF_BOUNDS)
        ],
        ({"maxJobs": 8}, 8),
        ({"maxJobs": 2, "executing": 3}, 0),
        ({"available": -1}, 0),
        ({"executing": 1}, 0),
        ({"available": "4"}, 4),
        ({}, 0),
    ],
)
def test_available_is_derived_only_where_it_cannot_be_read(item, available):
    assert AccountCapacity.model_validate(item).available == available


@pytest.mark.parametrize(
    ("account", "total"),
    [
        ({"max_jobs": 8, "executing": 3, "available": 2}, 5),
        ({"max_jobs": 8, "executing": 0, "available": 5}, 5),
        ({"executing": 3, "available": 2}, 5),
        ({"max_jobs": 8, "available": 2}, 8),
        ({"max_jobs": 1, "available": 2}, 2),
        ({"max_jobs": 8}, 8),
        ({"available": 2}, 2),
        ({"executing": -3, "available": 2}, 2),
        ({}, 0),
    ],
)
def test_total_of_an_account_is_what_executes_and_what_is_available(account, total):
    assert AccountCapacity(**account).total == total


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
def test_account_that_does_not_say_what_it_executes_counts_its_listed_jobs(account, jobs, available, total):
    other = {"email": "b@example.com", "maxJobs": 8, "available": 1}
    [first, second] = snapshot_of({"email": "a@example.com", **account}, other, jobs=jobs).accounts
    assert (first.available, first.total, second.total) == (available, total, 1)


def test_account_that_is_listed_twice_has_its_jobs_once():
    accounts = snapshot_of(*[{"email": "a@example.com", "available": 1}] * 2, jobs=3).accounts
    assert sum(account.total for account in accounts) == 5


def test_job_of_an_unknown_account_is_counted_for_none():
    accounts = snapshot_of({"available": 1}, executing=[{"id": "x"}]).accounts
    assert [account.total for account in accounts] == [1]


def test_account_that_is_put_into_another_snapshot_keeps_its_numbers():
    seen = snapshot_of({"email": "a@example.com", "maxJobs": 8}, jobs=3)
    [account] = Capacity(accounts=[account.model_copy() for account in seen.accounts]).accounts
    assert (account.available, account.total) == (5, 8)


def test_capacity_goes_to_json_in_the_words_of_the_api():
    accounts = [
        {"email": "a", "maxJobs": 5, "executing": 0, "available": 5, "tier": None},
        {"email": "b", "maxJobs": 8, "executing": None, "available": 5},
    ]
    body = {"executing": [], "available": accounts, "note": "new"}
    assert Capacity.model_validate(body).to_xcom() == body


# Room for a wait


def test_free_slots_are_those_of_the_chosen_accounts_in_any_case():
    snapshot = capacity(a=2, b=3)
    assert snapshot.free_slots() == 5
    assert snapshot.free_slots(["A@EXAMPLE.COM "]) == 2
    assert snapshot.free_slots("b@example.com") == 3
    assert snapshot.free_slots([]) == snapshot.free_slots(["other@example.com"]) == 0


@pytest.mark.parametrize(
    ("slots", "emails", "free"),
    [
        (4, None, [3, 1]),
        (5, None, []),
        (1, ["a@example.com"], [1]),
        (1, ["b@example.com"], []),
        (2, ["a@example.com"], []),  # what others have free does not count
    ],
)
def test_accounts_with_room_have_the_slots_together_and_come_most_free_first(slots, emails, free):
    accounts = accounts_with_room(capacity(a=1, b=0, c=3), slots, emails)
    assert [account.available for account in accounts] == free


TWO_ACCOUNTS = [
    AccountCapacity(email="A@example.com", max_jobs=8, executing=1, available=2),
    AccountCapacity(email="b@example.com", max_jobs=8, executing=0, available=2),
]


def test_room_is_described_by_free_and_wanted_slots():
    capacity = Capacity(accounts=TWO_ACCOUNTS)
    assert describe_room(capacity, 1) == "4 free, 1 wanted"
    assert describe_room(capacity, 3, ["a@example.com"]) == "2 free, 3 wanted"


TYPO = ["typo@example.com"]
UNLISTED = "The API lists no account typo@example.com: is the e-mail right?"
TWO_UNLISTED = UNLISTED.replace("typo@", "other@example.com, typo@")


@pytest.mark.parametrize(
    ("accounts", "slots", "emails", "expected"),
    [
        (TWO_ACCOUNTS, 5, None, []),
        (TWO_ACCOUNTS, 3, ["a@EXAMPLE.com"], []),
        (TWO_ACCOUNTS, 6, None, ["The chosen accounts run 5 jobs at once: 6 slots are never free together"]),
        # An account that is not listed is not said to be too small, too.
        (TWO_ACCOUNTS, 1, TYPO, [UNLISTED]),
        (TWO_ACCOUNTS, 1, ["a@example.com", *TYPO, "other@example.com"], [TWO_UNLISTED]),
        (
            TWO_ACCOUNTS,
            4,
            ["a@example.com", *TYPO],
            [UNLISTED, "The chosen accounts run 3 jobs at once: 4 slots are never free together"],
        ),
        ([0], 1, None, ["The chosen accounts run 0 jobs at once: 1 slot is never free"]),
        ([1], 2, None, ["The chosen accounts run 1 job at once: 2 slots are never free together"]),
        ([], 1, None, ["The chosen accounts run 0 jobs at once: 1 slot is never free"]),
    ],
)
def test_obstacles_are_told_where_a_wait_can_never_end(accounts, slots, emails, expected):
    models = [one if isinstance(one, AccountCapacity) else AccountCapacity(executing=one) for one in accounts]
    assert obstacles(Capacity(accounts=models), slots, emails) == expected
