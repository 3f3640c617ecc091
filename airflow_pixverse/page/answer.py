"""
What ``GET /pixverse/api/capacity`` answers, as JSON.

Query parameters, all optional:

``conn_id``
    id of the connection; the first one where it is left out. 404 with ``{"detail": ...}`` if there is no
    connection of type ``pixverse`` with this id.
``find``
    only waits in whose DAG, task or run this occurs (case does not matter) are in ``waits.shown``.
``limit``
    how many waits and executing jobs are listed at most; 100 where it is left out, 1 000 at most.

All moments are in seconds since the epoch, by the clock of the server; a page takes them relative to ``now``.
"""

from __future__ import annotations

from typing import Literal, TypedDict

TroubleKind = Literal["connection", "token", "refused", "busy", "service", "network", "page"]
"""
What kind of trouble keeps the page from a new snapshot.

``connection``: the connection cannot be read or used. ``token``: the API token is refused. ``refused``: the
service refuses the request for another reason, such as an expired subscription. ``busy``: too many requests.
``service``: the service answers with an error. ``network``: it does not answer, or not yet. ``page``: the
page itself failed, which the log of the API server tells more about.
"""

WaitMode = Literal["deferred", "reschedule", "poke"]
"""How a task waits: in the queue of a triggerer, or by looking for itself, which has no place in a queue."""


class Trouble(TypedDict):
    """
    Why there is no new snapshot; the last one stays in ``capacity``.

    :param message: a sentence or two for a person, with what to do. It holds no address.
    :param since: when it began.
    :param retry_at: when the service is asked again.
    """

    kind: TroubleKind
    message: str
    since: float
    retry_at: float


class Account(TypedDict):
    """
    The slots of one account.

    :param email: the account; None where the service does not tell.
    :param total: slots in all.
    :param executing: how many of them are taken.
    :param free: free slots.
    :param error: what is wrong with the account, in the words of the service; None for nothing.
    """

    email: str | None
    total: int
    executing: int
    free: int
    error: str | None


class SubmittedBy(TypedDict):
    """
    The task that has submitted a job; ``map_index`` is -1 if it is not mapped.

    It is in this Airflow only if the names are: another Airflow may use the same token.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


class Job(TypedDict):
    """
    A job that is being executed.

    :param id: what tells it from others of its type and account: its number at PixVerse, without the user's.
    :param type: ``video``, ``image``, ``music``, ``speech`` or a type added since.
    :param email: the account that runs it; None where the service does not tell.
    :param started: when it started; None where the service does not tell.
    :param age_seconds: its age when the snapshot was taken (``taken_at``); None where it is not known.
    :param task: the task that has submitted it; None where it is another's, or where it may not be told.
    :param mine: whether a task of this package submitted it. Without a ``task``, it is one of a DAG that the
        user may not read, or of another Airflow.
    """

    id: str
    type: str
    email: str | None
    started: float | None
    age_seconds: float | None
    task: SubmittedBy | None
    mine: bool


class Room(TypedDict):
    """
    The last snapshot of the service.

    :param free: free slots of all accounts.
    :param total: slots of all accounts.
    :param accounts: the accounts in the order of the service.
    :param executing_total: how many jobs are being executed.
    :param executing: the oldest of these, ``limit`` at most; those of unknown age come last.
    """

    free: int
    total: int
    accounts: list[Account]
    executing_total: int
    executing: list[Job]


class Wait(TypedDict):
    """
    A task that waits for slots.

    :param place: place in the queue, 1 for the first, counting hidden ones too; None if it looks for itself.
    :param map_index: -1 if the task is not mapped.
    :param slots: how many slots it waits for; None where that is not known.
    :param emails: the accounts that it waits for; None for all.
    :param since: when it began to wait.
    :param times_out_at: when its wait ends at the latest; None for never, or where that is not known.
    :param mode: see :data:`WaitMode`.
    """

    place: int | None
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    slots: int | None
    emails: list[str] | None
    since: float | None
    times_out_at: float | None
    mode: WaitMode


class Waits(TypedDict):
    """
    Who waits at the connection.

    :param total: how many, hidden ones included.
    :param hidden: how many of them belong to DAGs that the user may not read.
    :param found: how many of those that are not hidden match ``find``.
    :param longest_since: when the longest wait began; None if nobody waits.
    :param shown: the first ``limit`` of those found, in the order of the queue; tasks that look for
        themselves come last.
    :param too_large: those that the user may read and that ask for more slots than the accounts have, ten at
        most: they wait in vain.
    """

    total: int
    hidden: int
    found: int
    longest_since: float | None
    shown: list[Wait]
    too_large: list[Wait]


class Answer(TypedDict):
    """
    The whole answer.

    :param now: the time by the server's clock.
    :param connections: ids of all connections of type ``pixverse``, sorted.
    :param connection: id of the one that the rest is about; None if there is none at all.
    :param taken_at: when the snapshot in ``capacity`` was taken; None without one.
    :param trouble: why there is no newer snapshot; None if all is well.
    :param capacity: the last snapshot; None if there is none yet, or no connection.
    :param triggerers: how many triggerers are alive.
    """

    now: float
    connections: list[str]
    connection: str | None
    taken_at: float | None
    trouble: Trouble | None
    capacity: Room | None
    waits: Waits
    triggerers: int
