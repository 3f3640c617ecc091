"""A mark as text, and which of several marks keeps a try from submitting."""

import json
from dataclasses import replace

import pytest

from airflow_pixverse.marks import Mark, MarkError, MarkUnreadableError, rival_of
from tests.unit.marks.example import MARK


def stored(**changes):
    """What a store holds of a mark, with other fields."""
    return json.dumps({**json.loads(MARK.to_json()), **changes})


@pytest.mark.parametrize(
    "mark",
    [
        MARK,
        replace(
            MARK, state="accepted", job_ids=("101", "user:1-pixverse:a@b.c-job:2"), email="a@b.c", seed=0
        ),
        replace(MARK, state="accepted", job_ids=("101",), cost_credits=20, credits_before=100),
        replace(MARK, state="not accepted", reference="ü€\"'\\\n\x00"),
    ],
)
def test_a_mark_is_read_as_it_was_written(mark):
    assert Mark.from_json(mark.to_json()) == mark


def test_keys_of_a_later_version_are_ignored():
    assert Mark.from_json(stored(cost=5)) == MARK


def test_keys_with_a_default_may_be_missing():
    fields = json.loads(MARK.to_json())
    for name in ("seed", "email", "job_ids", "cost_credits", "credits_before"):
        del fields[name]
    assert Mark.from_json(json.dumps(fields)) == MARK


@pytest.mark.parametrize("text", [None, "", "null", "[]", "7", '"sending"', "{", "[" * 100_000, 7, b"{}", {}])
def test_what_is_no_json_object_is_unreadable(text):
    with pytest.raises(MarkUnreadableError, match="not a JSON object"):
        Mark.from_json(text)


@pytest.mark.parametrize(
    "name", ["state", "reference", "fingerprint", "endpoint", "max_tries", "try_number", "sent_at"]
)
def test_a_mark_with_a_key_missing_is_unreadable(name):
    fields = json.loads(MARK.to_json())
    del fields[name]
    with pytest.raises(MarkUnreadableError, match=f"no valid '{name}'"):
        Mark.from_json(json.dumps(fields))


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
        ("email", 7),
        ("job_ids", None),
        ("job_ids", "101"),
        ("job_ids", [101]),
        ("job_ids", [""]),
    ],
)
def test_a_mark_with_a_value_of_another_kind_is_unreadable(name, value):
    with pytest.raises(MarkUnreadableError, match=f"no valid '{name}'"):
        Mark.from_json(stored(**{name: value}))


def test_every_error_of_marks_is_one_that_airflow_retries():
    from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

    for error in (MarkError, *MarkError.__subclasses__()):
        assert not issubclass(error, (AirflowFailException, AirflowSkipException))


@pytest.mark.parametrize("state", ["sending", "accepted"])
@pytest.mark.parametrize("number", [1, 3])
def test_another_try_that_has_submitted_or_may_have_is_a_rival(state, number):
    mine = replace(MARK, try_number=2)
    other = replace(MARK, state=state, try_number=number)
    assert rival_of(mine, sorted([mine, other], key=lambda mark: mark.try_number)) == other


@pytest.mark.parametrize(
    "other",
    [
        replace(MARK, try_number=2),  # its own
        replace(MARK, try_number=2, state="accepted"),  # its own, as it was before
        replace(MARK, state="not accepted"),
        replace(MARK, max_tries=2),  # of its life before a clear
    ],
)
def test_no_other_mark_is_a_rival(other):
    assert rival_of(replace(MARK, try_number=2), [other]) is None


def test_of_several_rivals_the_newest_is_named():
    first, second = MARK, replace(MARK, try_number=2, state="accepted")
    assert rival_of(replace(MARK, try_number=3), [first, second]) == second
