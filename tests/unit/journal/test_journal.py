"""The rules that all stores of records share, with one that keeps them in memory."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest

from airflow_pixverse.journal import (
    RecordNotWrittenError,
    RecordUnreadableError,
    SubmitJournal,
    TryNotRunningError,
    TryStateUnknownError,
)
from airflow_pixverse.journal.journal import Key
from tests.unit.journal import example

RECORD = replace(example.RECORD, try_number=2)


class InMemory(SubmitJournal):
    """Keeps texts by key in ``texts``; ``trouble`` is raised instead, where there is some."""

    place = "memory"

    def __init__(self, *, try_number=2, max_tries=3, map_index=None, dag_run=None):
        ti = SimpleNamespace(
            dag_id="dag",
            run_id="run",
            task_id="task",
            map_index=map_index,
            try_number=try_number,
            max_tries=max_tries,
        )
        super().__init__({"ti": ti, "dag_run": SimpleNamespace(id=dag_run)})
        self._try = replace(self._try, dag_run=dag_run)  # on every version of Airflow
        self.texts = {}
        self.trouble = None
        self.state = "running"

    def _read_all(self):
        self._raise_trouble()
        return dict(self.texts)

    def _read(self, key):
        self._raise_trouble()
        return self.texts.get(key)

    def _write(self, key, text):
        self._raise_trouble()
        self.texts[key] = text

    def _drop(self):
        self._raise_trouble()
        self.texts.clear()

    def _name(self, key):
        return f"text {key}"

    def _state(self):
        self._raise_trouble()
        return self.state

    def _raise_trouble(self):
        if self.trouble is not None:
            raise self.trouble


class Forgetful(InMemory):
    """Takes what is written, and forgets it."""

    def _write(self, key, text):
        pass


def test_records_are_read_oldest_try_first():
    journal = InMemory()
    records = [replace(RECORD, try_number=number, reference=f"r#{number}") for number in (1, 2, 10)]
    journal.texts = {Key(record.try_number, 1): record.to_json() for record in reversed(records)}
    assert journal.read_all() == records


def test_records_of_another_dag_run_with_the_same_names_are_left_out():
    journal = InMemory(dag_run=8)
    mine = replace(RECORD, dag_run=8, reference="r#mine")
    unknown = replace(RECORD, reference="r#unknown")
    others = [replace(RECORD, dag_run=7, reference="r#other"), unknown, mine]
    journal.texts = {Key(1, number): record.to_json() for number, record in enumerate(others, start=1)}
    assert journal.read_all() == [unknown, mine]


def test_each_submission_of_a_try_has_a_key_of_its_own_and_keeps_it():
    journal = InMemory()
    first, second = replace(RECORD, reference="r#1"), replace(RECORD, reference="r#2")
    journal.write(first)
    journal.write(second)
    journal.write(replace(first, state="not accepted"))
    assert [(record.reference, record.state) for record in journal.read_all()] == [
        ("r#1", "not accepted"),
        ("r#2", "sending"),
    ]


def test_a_write_that_arrives_late_undoes_nothing_of_another_submission():
    journal = InMemory()
    late = replace(RECORD, reference="r#1")
    journal.write(late)
    [key] = journal.texts
    journal.write(replace(RECORD, reference="r#2", state="accepted", job_ids=("101",)))
    journal._write(key, late.to_json())
    assert [record.state for record in journal.read_all()] == ["sending", "accepted"]


def test_a_part_of_a_try_that_resumes_goes_on_with_its_keys():
    journal = InMemory()
    journal.write(replace(RECORD, reference="r#1"))
    resumed = InMemory()
    resumed.texts = journal.texts
    resumed.write(replace(RECORD, reference="r#2"))
    resumed.write(replace(RECORD, reference="r#1", state="not accepted"))
    assert sorted(journal.texts) == [Key(2, 1), Key(2, 2)]
    assert [record.state for record in journal.read_all()] == ["not accepted", "sending"]


def test_a_record_that_is_not_there_after_it_was_written_is_an_error():
    with pytest.raises(
        RecordNotWrittenError, match=r"'sending' of try 2 of task task in run run of DAG dag .* mem"
    ):
        Forgetful().write(RECORD)


def test_what_is_refused_before_the_post_says_that_nothing_was_submitted():
    journal = InMemory()
    journal.trouble = PermissionError("no")
    with pytest.raises(RecordNotWrittenError, match=r"\(PermissionError\).* submits nothing") as refused:
        journal.write(RECORD)
    assert refused.value.__cause__ is journal.trouble


def test_what_is_refused_after_the_post_says_what_the_next_try_does():
    journal = InMemory()
    journal.trouble = PermissionError("no")
    with pytest.raises(
        RecordNotWrittenError, match="looks for the reference 'airflow:dag/run/task/-1#4f2a' first"
    ):
        journal.write(replace(RECORD, state="accepted", job_ids=("101",)))


def test_a_record_that_was_written_and_is_gone_is_not_taken_for_no_record():
    journal = InMemory()
    assert journal.read_all() == []
    journal.write(RECORD)
    journal.texts.clear()
    with pytest.raises(RecordUnreadableError, match=r"try 2 of task task .* is gone from memory"):
        journal.read_all()


def test_trouble_with_reading_is_not_taken_for_no_record():
    journal = InMemory()
    journal.trouble = OSError("no")
    with pytest.raises(RecordUnreadableError, match=r"cannot be read from memory \(OSError\)"):
        journal.read_all()


def test_a_record_that_cannot_be_understood_is_named_with_what_is_wrong_and_what_to_do():
    journal = InMemory(map_index=5)
    journal.texts[Key(1, 1)] = "{}"
    message = r"text 1_1 in memory, a submit record of task task\[5\] .*no valid 'state'.* remove that record"
    with pytest.raises(RecordUnreadableError, match=message):
        journal.read_all()


@pytest.mark.parametrize(("state", "left"), [("success", 0), ("running", 1), ("up_for_retry", 1), (None, 1)])
def test_records_are_dropped_only_where_airflow_knows_of_the_success(state, left):
    journal = InMemory()
    journal.write(RECORD)
    journal.state = state
    journal.drop()
    assert len(journal.texts) == left


@pytest.mark.parametrize(
    ("try_number", "state", "ends"),
    [
        (2, "running", False),  # such as the end of its execution_timeout
        (2, "failed", True),  # as a user has marked it
        (2, "restarting", False),
        (2, None, False),  # cleared
        (4, "running", True),  # no retry is left
    ],
)
def test_a_try_ends_for_good_where_no_other_follows(try_number, state, ends):
    journal = InMemory(try_number=try_number)
    journal.state = state
    assert journal.ends_for_good() is ends


def test_a_try_whose_state_is_unknown_may_be_followed_by_another():
    journal = InMemory()
    journal.trouble = OSError("no")
    assert journal.ends_for_good() is False


def test_end_of_a_job_is_written_beside_the_record_of_an_earlier_try():
    journal = InMemory()
    earlier = replace(RECORD, try_number=1, state="accepted", job_ids=("101", "102"))
    journal.texts = {Key(1, 1): earlier.to_json()}
    journal.write_end(["102"], "moderated")
    assert journal.read_all() == [earlier, replace(earlier, try_number=2, state="moderated")]


def test_end_of_a_job_that_cannot_be_written_is_logged(caplog):
    journal = InMemory()
    journal.trouble = OSError("no")
    journal.write_end(["101"], "failed")
    assert "Could not record that 101 is failed" in caplog.text


def test_drop_that_fails_is_logged_and_not_raised(caplog):
    journal = InMemory()
    journal.trouble = OSError("no")
    with caplog.at_level(logging.WARNING):
        journal.drop()
    assert "Could not remove the submit records of task task in run run of DAG dag from memory" in caplog.text


def test_a_try_that_airflow_has_given_up_is_told():
    journal = InMemory()
    journal.check_still_running()
    journal.state = "up_for_retry"
    with pytest.raises(TryNotRunningError, match="given up try 2"):
        journal.check_still_running()


def test_a_try_whose_state_is_unknown_is_not_taken_for_running():
    journal = InMemory()
    journal.trouble = OSError("no")
    with pytest.raises(TryStateUnknownError, match="does not say"):
        journal.check_still_running()
