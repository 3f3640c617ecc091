"""Records of the submits of a task instance, and the history that they make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE
from airflow_pixverse.journal.errors import RecordUnreadableError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

State = Literal[
    "sending",
    "unknown",
    "not accepted",
    "accepted",
    "failed",
    "moderated",
    "cancelled",
    "stored",
    "forgotten",
]
OnClear = Literal["resume", "submit"]

_STATES = get_args(State)
# States of a job that has ended without a result.
_ENDED: frozenset[State] = frozenset({"failed", "moderated", "cancelled"})
# A state is never taken back by an earlier one, whichever of the two is written later. Three of them occur in
# the folder of a batch only.
RANKS = (
    {"sending": 0, "unknown": 1, "not accepted": 2, "accepted": 3}
    | dict.fromkeys(_ENDED, 4)
    | {"stored": 5, "forgotten": 6}
)


@dataclass(frozen=True)
class TaskTry:
    """
    One try of a task instance.

    :param map_index: -1 unless the task is mapped.
    :param try_number: counts on through retries and clears.
    :param max_tries: the number of the last retry. A clear raises it and a retry leaves it alone, so it tells
        the generation: the tries since the last clear.
    :param dag_run: the number of the DAG run in Airflow's database; None if unknown.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    max_tries: int
    dag_run: int | None = None

    @classmethod
    def of(cls, context: Context) -> Self:
        """Return the try that runs in a context."""
        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        dag_run = context["dag_run"].id if WORKERS_HAVE_DATABASE else None  # type: ignore[attr-defined]
        return cls(ti.dag_id, ti.run_id, ti.task_id, map_index, ti.try_number, ti.max_tries, dag_run)

    @property
    def has_retry(self) -> bool:
        """Whether Airflow retries this try, if it fails in a way that can be retried."""
        return self.try_number <= self.max_tries

    @property
    def all_tries(self) -> Iterable[int]:
        """The numbers of all tries that there may have been or may be, without a further clear."""
        return range(1, max(self.try_number, self.max_tries + 1) + 1)

    @property
    def digest(self) -> str:
        """A name of the task instance that is short, whatever the ids are, and the same in each try."""
        instance = json.dumps([self.dag_id, self.run_id, self.task_id, self.map_index])
        return hashlib.sha256(instance.encode()).hexdigest()[:40]

    def __str__(self) -> str:
        mapped = "" if self.map_index < 0 else f"[{self.map_index}]"
        return f"task {self.task_id}{mapped} in run {self.run_id} of DAG {self.dag_id}"


@dataclass(frozen=True)
class SubmitRecord:
    """
    The record of a submit of one try.

    :param state: ``sending`` is written before the POST; ``accepted`` or ``not accepted`` once it is certain
        which; ``failed``, ``moderated`` or ``cancelled`` once the job has ended that way. In the folder of a
        batch also ``unknown`` if it is not certain, ``stored`` once its files are there, and ``forgotten``
        once a user has said so.
    :param reference: the whole ``replyRef`` of the submit.
    :param fingerprint: of endpoint and payload.
    :param endpoint: such as ``videos/create``.
    :param max_tries: ``ti.max_tries``, which tells the generation.
    :param try_number: the try that submitted.
    :param sent_at: when, in ISO 8601 with the offset of UTC.
    :param seed: the ``seed`` of the payload, if it was chosen for the submit.
    :param email: the account that it was submitted to. None if unknown.
    :param job_ids: the ids of the jobs that PixVerse accepted.
    :param cost_credits: what they cost. None if unknown.
    :param credits_before: what the account had before. None if unknown.
    :param item: the fingerprint of what a mapped instance is mapped to: a mapped index can come to mean
        another item. None for a task that is not mapped.
    :param dag_run: the number of the DAG run in Airflow's database: a run that is deleted and created again
        keeps its names. None if unknown.
    :param was_lost: whether its answer was lost, and it was then found to be not accepted.
    :param paths: addresses of its files, once they are stored.
    :param reason: why there are none. Empty if there is no reason.
    """

    state: State
    reference: str
    fingerprint: str
    endpoint: str
    max_tries: int
    try_number: int
    sent_at: str
    seed: int | None = None
    email: str | None = None
    job_ids: tuple[str, ...] = ()
    cost_credits: int | None = None
    credits_before: int | None = None
    item: str | None = None
    dag_run: int | None = None
    was_lost: bool = False
    paths: tuple[str, ...] = ()
    reason: str = ""

    @property
    def jobs(self) -> str:
        """The jobs in words, for messages."""
        return ", ".join(self.job_ids) or f"a job with replyRef {self.reference}"

    def to_json(self) -> str:
        """Return the record as a JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: object) -> Self:
        """
        Return the record that :meth:`to_json` made a text of.

        Keys that this version does not know are ignored.

        :param text: what the journal holds.
        :raises RecordUnreadableError: it is not a record, or not a whole one.
        """
        try:
            stored = json.loads(text) if isinstance(text, str) else None
        except (ValueError, RecursionError):
            stored = None
        if not isinstance(stored, dict):
            raise RecordUnreadableError("it is not a JSON object")
        values: dict[str, Any] = {name: stored.get(name, _DEFAULTS.get(name)) for name in _CHECKS}
        for name, is_valid in _CHECKS.items():
            if not is_valid(values[name]):
                raise RecordUnreadableError(f"it has no valid {name!r}")
        for name in ("job_ids", "paths"):
            values[name] = tuple(values[name])
        return cls(**values)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_moment(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _or_none(is_valid: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_valid(value)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "state": lambda value: value in _STATES,
    "reference": _is_text,
    "fingerprint": _is_text,
    "endpoint": _is_text,
    "max_tries": _is_whole,
    "try_number": _is_whole,
    "sent_at": _is_moment,
    "seed": _or_none(_is_whole),
    "email": _or_none(_is_text),
    "job_ids": _are_texts,
    "cost_credits": _or_none(_is_whole),
    "credits_before": _or_none(_is_whole),
    "item": _or_none(_is_text),
    "dag_run": _or_none(_is_whole),
    "was_lost": lambda value: isinstance(value, bool),
    "paths": _are_texts,
    "reason": lambda value: isinstance(value, str),
}
_DEFAULTS: dict[str, Any] = {"job_ids": [], "was_lost": False, "paths": [], "reason": ""}


def last_of_each(records: Iterable[SubmitRecord]) -> list[SubmitRecord]:
    """
    Return one record for each submit: the one whose state comes last in the life of a job.

    :param records: oldest first. Several tries may have written about the same submit.
    """
    last: dict[str, SubmitRecord] = {}
    for record in records:
        known = last.get(record.reference)
        if known is None or RANKS[record.state] >= RANKS[known.state]:
            last[record.reference] = record
    return list(last.values())


def concurrent_attempt(record: SubmitRecord, records: Iterable[SubmitRecord]) -> SubmitRecord | None:
    """
    Return another submit that was accepted or may be; the newest, if there are several.

    Of two tries that overlap, at most one submits if each writes its record, reads all, and asks this.

    :param record: the record of the try that asks.
    :param records: those of all tries, oldest first, without those that are no reason not to submit.
    """
    others = [
        other
        for other in last_of_each(records)
        if other.reference != record.reference and other.state != "not accepted"
    ]
    return others[-1] if others else None


@dataclass(frozen=True)
class SubmitHistory:
    """
    The earlier submits of a task instance since its last success, for a try that is about to submit.

    :param records: one for each submit.
    :param generation: ``max_tries`` of the try that asks.
    """

    records: tuple[SubmitRecord, ...]
    generation: int

    @classmethod
    def of(
        cls,
        records: Iterable[SubmitRecord],
        task_try: TaskTry,
        on_clear: OnClear,
        not_accepted: Collection[str] = (),
    ) -> Self:
        """
        Return the history that a try has.

        :param records: all records of the task instance, oldest first.
        :param task_try: the try that asks.
        :param on_clear: ``submit`` leaves out what is from before a clear.
        :param not_accepted: references that are known to be not accepted, whatever their records say.
        """
        generation = task_try.max_tries
        counted = [
            record
            for record in last_of_each(records)
            if record.reference not in not_accepted
            and (on_clear == "resume" or record.max_tries == generation)
        ]
        return cls(tuple(counted), generation)

    @property
    def accepted(self) -> SubmitRecord | None:
        """
        The latest job that was accepted. None if there is none.

        One that has ended without a result counts until the task is cleared: a retry does not submit again.
        """
        accepted = _newest_first(
            record
            for record in self.records
            if record.state == "accepted" or (record.state in _ENDED and not self.is_cleared(record))
        )
        return next(iter(accepted), None)

    @property
    def unsettled(self) -> list[SubmitRecord]:
        """The submits of which it is unknown whether they were accepted, newest first."""
        return _newest_first(record for record in self.records if record.state == "sending")

    @property
    def to_pick_up(self) -> list[SubmitRecord]:
        """The submits of which a try picks up the first that was accepted, instead of submitting."""
        return [*([self.accepted] if self.accepted else []), *self.unsettled]

    @property
    def may_be_paid_for(self) -> bool:
        """Whether an earlier submit may be paid for, without a job that is known: the next is the second."""
        return any(
            (record.state == "sending" or record.was_lost) and not self.is_cleared(record)
            for record in self.records
        )

    def is_cleared(self, record: SubmitRecord) -> bool:
        """Return whether the task was cleared since a submit."""
        return record.max_tries != self.generation


def _newest_first(records: Iterable[SubmitRecord]) -> list[SubmitRecord]:
    return sorted(records, key=lambda record: record.sent_at, reverse=True)
