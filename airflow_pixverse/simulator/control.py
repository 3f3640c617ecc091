"""What a test, or a person through ``/simulator/``, can do to the simulated service."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from airflow_pixverse.simulator.faults import Fault
from airflow_pixverse.simulator.fields import FieldError, header, integer, number, text
from airflow_pixverse.simulator.requestlog import LoggedRequest, RequestLog
from airflow_pixverse.simulator.schema import find_schema
from airflow_pixverse.simulator.script import Script

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_pixverse.simulator.service import Service

KEPT_REQUESTS = 10_000


class Control:
    """
    Starts and ends jobs, injects faults, and shows the requests; every method may be called from any thread.

    ``token`` and ``schema`` may be assigned to at any time, as when a token is rotated or the API is revised.

    :param service: the accounts and jobs
    :param token: the API token that requests must carry
    :param schema: the revision of the API, one of :data:`~airflow_pixverse.simulator.schema.SCHEMAS`
    """

    def __init__(self, service: Service, token: str, schema: str) -> None:
        self.service = service
        self.token = token
        self.schema = schema
        self.script = Script()
        self.log = RequestLog(KEPT_REQUESTS)

    @property
    def token(self) -> str:
        """The API token that requests must carry."""
        return self._token

    @token.setter
    def token(self, token: str) -> None:
        self._token = header("token", token)

    @property
    def schema(self) -> str:
        """The revision of the API that jobs and capacity are written in."""
        return self._schema

    @schema.setter
    def schema(self, schema: str) -> None:
        find_schema(schema)
        self._schema = schema

    def start_job(
        self,
        email: str | None = None,
        *,
        type: str = "video",  # noqa: A002 - the API's word
        seconds: float | None = None,
        started: datetime | None = None,
        reply_url: str | None = None,
        reply_ref: str | None = None,
    ) -> str:
        """
        Start a job, and return its id.

        :param email: the account; without it, a random one with a free slot
        :param type: ``video``, ``image``, ``music``, or any other
        :param seconds: how long it runs from now on; without it, until :meth:`end_job`
        :param started: the start that the API shows (with a time zone); without it, now
        :param reply_url: its ``replyUrl``
        :param reply_ref: its ``replyRef``
        :raises AtCapacityError: when no slot is free
        :raises UnknownAccountError: when there is no such account
        """
        if started is not None and started.tzinfo is None:
            raise FieldError("started", "must have a time zone")
        return self.service.start(
            text("type", type),
            email,
            seconds=math.inf if seconds is None else number("seconds", seconds),
            started=None if started is None else started.timestamp(),
            reply_url=reply_url,
            reply_ref=reply_ref,
        )

    def end_job(self, job_id: str) -> None:
        """End a job, or raise ``UnknownJobError`` when no job with this id is executing."""
        self.service.end(job_id)

    def end_all_jobs(self) -> int:
        """End every job, and return how many there were."""
        return self.service.end_all()

    def fill(self, seconds: float | None = None) -> list[str]:
        """
        Start jobs until no slot is free, and return their ids.

        :param seconds: after which the first of them ends; the last ends at most 20 % later. Without it, they
            run until :meth:`end_job` or :meth:`end_all_jobs`
        """
        return self.service.fill(math.inf if seconds is None else number("seconds", seconds))

    def free(self, email: str | None = None) -> int:
        """Return how many slots are free, at one account or at all."""
        return self.service.free(email)

    def set_max_jobs(self, email: str, max_jobs: int) -> None:
        """Change how many jobs an account may execute at once; jobs that are executing continue."""
        self.service.set_max_jobs(email, integer("max_jobs", max_jobs, 0))

    def inject(self, fault: Fault, times: int | None = 1, path: str | None = None) -> None:
        """
        Answer requests with a fault, once those injected before are used up.

        :param fault: one of :mod:`~airflow_pixverse.simulator.faults`
        :param times: how many requests; ``None`` for all until :meth:`clear_faults`
        :param path: only requests to paths that end with this, such as ``scheduler/available``
        """
        if not isinstance(fault, Fault):
            raise FieldError("fault", "must be made by a function of airflow_pixverse.simulator.faults")
        self.script.inject(fault, None if times is None else integer("times", times, 1), path or "")

    def clear_faults(self) -> None:
        """Answer no more requests with faults."""
        self.script.clear_faults()

    def respond_with(self, path: str, body: object, status: int = 200) -> None:
        """
        Answer authorized requests with a body of your own.

        :param path: requests to paths that end with this
        :param body: ``bytes`` are sent as they are, anything else as JSON; ``None`` restores the usual answer
        :param status: the status of the answer
        """
        integer("status", status, 200, 599)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.script.respond_with(path, None if body is None else (status, content))

    @property
    def requests(self) -> list[LoggedRequest]:
        """The last 10 000 requests, oldest first, without those to ``/simulator/``."""
        return self.log.kept()

    @property
    def request_count(self) -> int:
        """How many requests there were, without those to ``/simulator/``."""
        return self.log.count

    def wait_for_requests(self, n: int, timeout: float = 60) -> None:
        """
        Wait until ``n`` requests have arrived since the start; they may not be answered yet.

        :param timeout: seconds after which ``TimeoutError`` is raised
        """
        self.log.wait_for(n, timeout)
