"""A record as text, and which of several records keeps a try from submitting."""

import json
from dataclasses import replace

import pytest

from airflow_pixverse.journal import (
    JournalError,
    RecordUnreadableError,
    SubmitRecord,
    concurrent_attempt,
    last_of_each,
)
from tests.unit.journal.example import RECORD


def stored(**changes):
    """Return a record as a store holds it, with other fields."""
    return json.dumps({**json.loads(RECORD.to_json()), **changes})


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        replace(
            RECORD, state="accepted", job_ids=("101", "user:1-pixverse:a@b.c-job:2"), email="a@b.c", seed=0
        ),
        replace(RECORD, state="accepted", job_ids=("101",), cost_credits=20, credits_before=100),
        replace(RECORD, state="not accepted", reference="ü€\"'\\\n\x00"),
        replace(RECORD, state="cancelled", item="beef", dag_run=7),
    ],
)
def test_a_record_is_read_as_it_was_written(record):
    assert SubmitRecord.from_json(record.to_json()) == record


def test_keys_of_a_later_version_are_ignored():
    assert SubmitRecord.from_json(stored(cost=5)) == RECORD


def test_keys_with_a_default_may_be_missing():
    fields = json.loads(RECORD.to_json())
    for name in ("seed", "email", "job_ids", "cost_credits", "credits_before", "item", "dag_run"):
        del fields[name]
    assert SubmitRecord.from_json(json.dumps(fields)) == RECORD


@pytest.mark.parametrize("text", [None, "", "null", "[]", "7", '"sending"', "{", "[" * 100_000, 7, b"{}", {}])
def test_what_is_no_json_object_is_unreadable(text):
    with pytest.raises(RecordUnreadableError, match="not a JSON object"):
        SubmitRecord.from_json(text)


@pytest.mark.parametrize(
    "name", ["state", "reference", "fingerprint", "endpoint", "max_tries", "try_number", "sent_at"]
)
def test_a_record_with_a_key_missing_is_unreadable(name):
    fields = json.loads(RECORD.to_json())
    del fields[name]
    with pytest.raises(RecordUnreadableError, match=f"no valid '{name}'"):
        SubmitRecord.from_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "sent"),
        ("state", ["sending"]),
        ("reference", ""),
        ("fingerprint", 7),
        ("endpoint", None),
        ("max_tries", "3"),
        ("max_tries", True),
        ("try_number", 1.0),
        ("try_number", -1),
        ("sent_at", "yesterday"),
        ("sent_at", "2026-01-01T00:00:00"),
        ("sent_at", 1767225600),
        ("seed", "7"),
        ("seed", False),
        ("cost_credits", "20"),
        ("credits_before", -1),
        ("item", 7),
        ("dag_run", "7"),
        ("email", 7),
        ("job_ids", None),
        ("job_ids", "101"),
        ("job_ids", [101]),
        ("job_ids", [""]),
    ],
)
def test_a_record_with_a_value_of_another_kind_is_unreadable(name, value):
    with pytest.raises(RecordUnreadableError, match=f"no valid '{name}'"):
        SubmitRecord.from_json(stored(**{name: value}))


def test_every_error_of_records_is_one_that_airflow_retries():
    from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

    for error in (JournalError, *JournalError.__subclasses__()):
        assert not issubclass(error, (AirflowFailException, AirflowSkipException))


OTHER = replace(RECORD, reference="airflow:dag/run/task/-1#other")


@pytest.mark.parametrize("state", ["sending", "unknown", "accepted", "failed", "stored"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("generation", [3, 7])
def test_another_submission_that_is_accepted_or_may_be_is_a_rival(state, number, generation):
    mine = replace(RECORD, try_number=2)
    other = replace(OTHER, state=state, try_number=number, max_tries=generation)
    assert concurrent_attempt(mine, [mine, other]) == other


@pytest.mark.parametrize(
    "other",
    [
        replace(RECORD, try_number=2),  # its own
        replace(RECORD, try_number=2, state="accepted"),  # its own, as it was before
        replace(OTHER, state="not accepted"),
    ],
)
def test_no_other_record_is_a_rival(other):
    assert concurrent_attempt(replace(RECORD, try_number=2), [other]) is None


def test_of_several_rivals_the_newest_is_named():
    first, second = OTHER, replace(OTHER, try_number=2, state="accepted", reference="r#2")
    assert concurrent_attempt(replace(RECORD, try_number=3), [first, second]) == second


@pytest.mark.parametrize(
    ("states", "last"),
    [
        (["sending", "accepted"], "accepted"),
        (["accepted", "sending"], "accepted"),  # a write that arrives late
        (["not accepted", "sending"], "not accepted"),
        (["not accepted", "accepted"], "accepted"),  # another try has found it
        (["accepted", "failed", "accepted"], "failed"),
    ],
)
def test_no_state_takes_back_a_later_one(states, last):
    assert [record.state for record in last_of_each([replace(RECORD, state=one) for one in states])] == [last]
