"""
The JSON of ``GET /pixverse/api/capacity``.

Query parameters, all optional:

``conn_id``
    id of the connection; by default ``pixverse_default``, or else the first one. 404 with ``{"detail": ...}``
    if there is no connection of type ``pixverse`` with this id.
``find``
    only waits whose DAG, task or run contains this text are in ``waits.shown``; case does not matter.
``limit``
    most waits, most batches, and most executing jobs, to list: 1 to 1 000, by default 100.

All times are in seconds since the epoch, by the server's clock: a client compares them with ``now``.
"""

from typing import Literal, TypedDict

ProblemKind = Literal["connection", "token", "refused", "busy", "service", "network", "page"]
"""
The kind of problem that keeps the page from a new snapshot.

``connection``: the connection cannot be read or used. ``token``: the service refuses the API token.
``refused``: it refuses the request for another reason, such as an expired subscription. ``busy``: too many
requests. ``service``: it answers with an error. ``network``: no answer, or none yet. ``page``: a bug of the
page, with more in the log of the API server.
"""

WaitMode = Literal["deferred", "reschedule", "poke"]
"""The mode of a wait: ``deferred`` is in the queue of a triggerer, the others poll for themselves."""


class PageProblem(TypedDict):
    """
    The reason why there is no new snapshot; ``capacity`` stays the last one.

    :param message: a sentence or two for the user, with what to do, and without addresses.
    :param since: when it began.
    :param retry_at: when the next poll follows.
    """

    kind: ProblemKind
    message: str
    since: float
    retry_at: float


class Account(TypedDict):
    """
    The slots of one account.

    :param email: the account; None if unknown.
    :param error: error of the account, in the words of the service; None if it has none.
    """

    email: str | None
    total: int
    executing: int
    free: int
    error: str | None


class TaskKey(TypedDict):
    """The names of a task; ``map_index`` is -1 if it is not mapped."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


class Job(TypedDict):
    """
    An executing job.

    :param id: its number at PixVerse, without the number of the user.
    :param type: ``video``, ``image``, ``music``, ``speech`` or a type added since.
    :param email: the account that runs it; None if unknown.
    :param started: when it started; None if unknown.
    :param age_seconds: its age at ``taken_at``; None if unknown.
    :param task: the task that submitted it; None for other clients, and for DAGs that the user may not read.
    :param mine: a task of this package submitted it. Without a ``task``, it is one of a DAG that the user may
        not read, or of another Airflow with the same token.
    """

    id: str
    type: str
    email: str | None
    started: float | None
    age_seconds: float | None
    task: TaskKey | None
    mine: bool


class Snapshot(TypedDict):
    """
    The last snapshot of the service.

    :param accounts: in the order of the service.
    :param executing_total: number of executing jobs.
    :param executing: the oldest ``limit`` of them; jobs of unknown age come last.
    """

    free: int
    total: int
    accounts: list[Account]
    executing_total: int
    executing: list[Job]


class Wait(TaskKey):
    """
    A task that waits for slots.

    :param place: place in the queue, 1 for the first, hidden tasks included; None if it polls for itself.
    :param priority: its ``priority_weight``; 1 for a task that polls for itself.
    :param slots: slots that it waits for; None if unknown.
    :param emails: accounts that it waits for; None for all accounts.
    :param since: when its wait began; None if unknown.
    :param times_out_at: when its wait ends at the latest; None for never, or if unknown.
    """

    place: int | None
    priority: int
    slots: int | None
    emails: list[str] | None
    since: float | None
    times_out_at: float | None
    mode: WaitMode


class Waits(TypedDict):
    """
    The waits at the connection.

    :param total: their number, hidden ones included.
    :param hidden: number of those of DAGs that the user may not read.
    :param found: number of those that are not hidden and match ``find``.
    :param longest_since: when the longest wait began; None if no task waits.
    :param shown: the first ``limit`` of those found: the queue, then tasks that poll for themselves.
    :param too_large: the first ten of those not hidden that ask for more slots than the accounts have.
    """

    total: int
    hidden: int
    found: int
    longest_since: float | None
    shown: list[Wait]
    too_large: list[Wait]


class Batch(TaskKey):
    """
    A batch that runs; what it has not told is None.

    :param since: when its try began; None if unknown.
    :param at: when it told the rest, every half minute.
    :param counts: the number of its distinct rows in each status.
    :param rate: rows stored a minute.
    :param seconds_left: until all rows are done at this rate.
    :param cost_credits: cost of its run so far.
    """

    since: float | None
    at: float | None
    counts: dict[str, float] | None
    rate: float | None
    seconds_left: float | None
    cost_credits: float | None


class Batches(TypedDict):
    """
    The batches that run at the connection.

    :param total: their number, hidden ones included.
    :param hidden: number of those of DAGs that the user may not read.
    :param shown: the oldest ``limit`` of the others.
    """

    total: int
    hidden: int
    shown: list[Batch]


class CapacityResponse(TypedDict):
    """
    The whole response.

    :param now: the time by the server's clock.
    :param connections: sorted ids of all connections of type ``pixverse``.
    :param connection: id of the connection that the rest is about; None if there are no connections.
    :param taken_at: when the service answered with ``capacity``; None if there is no snapshot.
    :param problem: the reason why there is no newer snapshot; None if there is one.
    :param capacity: the last snapshot; None if there is none yet.
    :param triggerers: number of triggerers that are alive.
    :param triggers: number of triggers of all kinds, which share the places of the triggerers.
    :param places: number of triggers that the triggerers run at a time, as the server's configuration says.
    """

    now: float
    connections: list[str]
    connection: str | None
    taken_at: float | None
    problem: PageProblem | None
    capacity: Snapshot | None
    waits: Waits
    batches: Batches
    triggerers: int
    triggers: int
    places: int
