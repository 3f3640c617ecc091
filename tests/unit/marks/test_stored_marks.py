"""What all stores of marks do alike, with one that keeps them in memory."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest

from airflow_pixverse.marks import (
    MarkNotWrittenError,
    MarkUnreadableError,
    TryNotRunningError,
    TryStateUnknownError,
)
from airflow_pixverse.marks.stored_marks import StoredMarks
from tests.unit.marks import example

MARK = replace(example.MARK, try_number=2)


class InMemory(StoredMarks):
    """Keeps texts by try in ``texts``; ``trouble`` is raised instead, where there is some."""

    place = "memory"

    def __init__(self, *, try_number=2, max_tries=3, map_index=None):
        ti = SimpleNamespace(
            dag_id="dag",
            run_id="run",
            task_id="task",
            map_index=map_index,
            try_number=try_number,
            max_tries=max_tries,
        )
        super().__init__({"ti": ti})
        self.texts = {}
        self.trouble = None
        self.runs = True

    def _read(self, tries):
        self._raise_trouble()
        return {number: self.texts[number] for number in tries if number in self.texts}

    def _write(self, try_number, text):
        self._raise_trouble()
        self.texts[try_number] = text

    def _drop(self, tries):
        self._raise_trouble()
        for number in tries:
            self.texts.pop(number, None)

    def _name(self, try_number):
        return f"text {try_number}"

    def _is_running(self):
        self._raise_trouble()
        return self.runs

    def _raise_trouble(self):
        if self.trouble is not None:
            raise self.trouble


class Forgetful(InMemory):
    """Takes what is written, and forgets it."""

    def _write(self, try_number, text):
        pass


def test_marks_are_read_oldest_try_first_without_those_of_another_life():
    store = InMemory()
    marks = {number: replace(MARK, try_number=number) for number in (4, 3, 2)}
    store.texts = {number: mark.to_json() for number, mark in marks.items()}
    store.texts[1] = replace(MARK, try_number=1, max_tries=0).to_json()
    assert store.read_all() == [marks[2], marks[3], marks[4]]


@pytest.mark.parametrize(("try_number", "max_tries", "last"), [(1, 0, 1), (2, 3, 4), (7, 3, 7)])
def test_all_tries_that_there_may_be_are_looked_at(try_number, max_tries, last):
    store = InMemory(try_number=try_number, max_tries=max_tries)
    for number in range(1, 20):
        store.texts[number] = replace(MARK, try_number=number, max_tries=max_tries).to_json()
    assert [mark.try_number for mark in store.read_all()] == list(range(1, last + 1))
    store.drop()
    assert min(store.texts) == last + 1


def test_a_mark_that_is_not_there_after_it_was_written_is_an_error():
    with pytest.raises(
        MarkNotWrittenError, match=r"'sending' of try 2 of task task in run run of DAG dag .* mem"
    ):
        Forgetful().write(MARK)


def test_what_is_refused_before_the_post_says_that_nothing_was_submitted():
    store = InMemory()
    store.trouble = PermissionError("no")
    with pytest.raises(MarkNotWrittenError, match=r"\(PermissionError\).* submits nothing") as refused:
        store.write(MARK)
    assert refused.value.__cause__ is store.trouble


def test_what_is_refused_after_the_post_says_what_the_next_try_does():
    store = InMemory()
    store.trouble = PermissionError("no")
    with pytest.raises(
        MarkNotWrittenError, match="looks for the reference 'airflow:dag/run/task/-1#4f2a' first"
    ):
        store.write(replace(MARK, state="accepted", job_ids=("101",)))


def test_a_mark_that_was_written_and_is_gone_is_not_taken_for_no_mark():
    store = InMemory()
    assert store.read_all() == []
    store.write(MARK)
    store.texts.clear()
    with pytest.raises(MarkUnreadableError, match=r"try 2 of task task .* is gone from memory"):
        store.read_all()


def test_trouble_with_reading_is_not_taken_for_no_mark():
    store = InMemory()
    store.trouble = OSError("no")
    with pytest.raises(MarkUnreadableError, match=r"cannot be read from memory \(OSError\)"):
        store.read_all()


def test_a_mark_that_cannot_be_understood_is_named_with_what_is_wrong_and_what_to_do():
    store = InMemory(map_index=5)
    store.texts[1] = "{}"
    message = r"text 1 in memory, a mark of task task\[5\] .*no valid 'state'.* remove that mark"
    with pytest.raises(MarkUnreadableError, match=message):
        store.read_all()


def test_trouble_with_dropping_is_logged_and_not_raised(caplog):
    store = InMemory()
    store.trouble = OSError("no")
    with caplog.at_level(logging.WARNING):
        store.drop()
    assert "could not be removed from memory" in caplog.text


def test_a_try_that_airflow_has_given_up_is_told():
    store = InMemory()
    store.check_still_running()
    store.runs = False
    with pytest.raises(TryNotRunningError, match="given up try 2"):
        store.check_still_running()


def test_a_try_whose_state_is_unknown_is_not_taken_for_running():
    store = InMemory()
    store.trouble = OSError("no")
    with pytest.raises(TryStateUnknownError, match="does not say"):
        store.check_still_running()
