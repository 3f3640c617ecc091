"""StoredMarks: what the stores of all versions of Airflow have in common."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from airflow_pixverse.marks.errors import (
    MarkError,
    MarkNotWrittenError,
    MarkUnreadableError,
    TryNotRunningError,
    TryStateUnknownError,
    reason,
)
from airflow_pixverse.marks.mark import Mark
from airflow_pixverse.marks.task_try import TaskTry

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


class StoredMarks(ABC):
    """
    A :class:`~airflow_pixverse.marks.store.MarkStore` with one text for each try.

    Each try has a mark of its own, so that two tries that overlap never overwrite each other's.

    :param context: the context of the task instance.
    """

    place: ClassVar[str]
    """Where the marks are, in words."""

    refusal: ClassVar[str] = ""
    """What it may mean that a mark is refused."""

    def __init__(self, context: Context) -> None:
        self._try = TaskTry.of(context)
        self._has_written = False

    @abstractmethod
    def _read(self, tries: Iterable[int]) -> Mapping[int, object]:
        """Return what is stored for these tries, without those that have nothing; raise what goes wrong."""

    @abstractmethod
    def _write(self, try_number: int, text: str) -> None:
        """Store the text of a try; raise what goes wrong."""

    @abstractmethod
    def _drop(self, tries: Iterable[int]) -> None:
        """Remove what is stored for these tries; raise what goes wrong."""

    @abstractmethod
    def _name(self, try_number: int) -> str:
        """Return what the place calls the mark of a try."""

    @abstractmethod
    def _is_running(self) -> bool:
        """Return whether Airflow says that this try runs; raise what goes wrong."""

    def read_all(self) -> list[Mark]:
        """Return the marks of all tries in this life of the task instance, oldest try first."""
        try:
            texts = self._read(self._try.all_tries)
        except Exception as error:
            raise MarkUnreadableError(
                f"The marks of {self._try} cannot be read from {self.place} ({reason(error)}), "
                "so it cannot be known whether a job was submitted; nothing is submitted until they can be. "
                "The next retry reads them again"
            ) from error
        if self._has_written and self._try.try_number not in texts:
            raise MarkUnreadableError(
                f"The mark that try {self._try.try_number} of {self._try} has written is gone from "
                f"{self.place}: Airflow has given this try up, or somebody removed the mark. "
                "Nothing more is submitted in this try"
            )
        marks = [self._mark(number, texts[number]) for number in sorted(texts)]
        return [mark for mark in marks if mark.max_tries == self._try.max_tries]

    def write(self, mark: Mark) -> None:
        """Set the mark of this try, and read it back."""
        number, text = self._try.try_number, mark.to_json()
        try:
            self._write(number, text)
            is_there = self._read([number]).get(number) == text
        except Exception as error:
            raise self._not_written(mark, reason(error)) from error
        if not is_there:
            raise self._not_written(mark, "it was accepted, but reading it gives something else")
        self._has_written = True

    def drop(self) -> None:
        """Remove all marks of the task instance; trouble is logged."""
        try:
            self._drop(self._try.all_tries)
        except Exception:
            log.warning(
                "The marks of %s could not be removed from %s. They do no harm, and can be removed by hand",
                self._try,
                self.place,
                exc_info=True,
            )

    def check_still_running(self) -> None:
        """Look whether Airflow has given this try up."""
        try:
            is_running = self._is_running()
        except Exception as error:
            raise TryStateUnknownError(
                f"Airflow does not say whether {self._try} still runs ({reason(error)}), "
                "so nothing is submitted in this try"
            ) from error
        if not is_running:
            raise TryNotRunningError(
                f"Airflow has given up try {self._try.try_number} of {self._try}, so it submits nothing: "
                "what happens now is up to the next try"
            )

    def _mark(self, number: int, text: object) -> Mark:
        try:
            return Mark.from_json(text)
        except MarkUnreadableError as error:
            raise MarkUnreadableError(
                f"The {self._name(number)} in {self.place}, a mark of {self._try}, cannot be understood: "
                f"{error}. So it cannot be known whether a job was submitted, and nothing is submitted now. "
                "Look for the job at PixVerse, then remove that mark, and let the task run again"
            ) from error

    def _not_written(self, mark: Mark, why: str) -> MarkError:
        consequence = (
            "It is written before the job is submitted, so this try submits nothing; the next retry may"
            if mark.state == "sending"
            else f"The mark before it stays, so the next try looks for the reference {mark.reference!r} first"
        )
        return MarkNotWrittenError(
            f"The mark {mark.state!r} of try {mark.try_number} of {self._try} could not be written to "
            f"{self.place} ({why}). {self.refusal}{consequence}"
        )
