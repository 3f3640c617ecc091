"""What a test, or a person through ``/simulator/``, can do to the simulated service."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from airflow_pixverse.simulator.account_control import AccountControl
from airflow_pixverse.simulator.faults import Fault
from airflow_pixverse.simulator.fields import FieldError, fraction, header, integer
from airflow_pixverse.simulator.job_control import JobControl
from airflow_pixverse.simulator.media_control import MediaControl
from airflow_pixverse.simulator.requestlog import LoggedRequest, RequestLog
from airflow_pixverse.simulator.schema import find_schema
from airflow_pixverse.simulator.script import Injected, Script

if TYPE_CHECKING:
    from airflow_pixverse.simulator.service import Service

KEPT_REQUESTS = 10_000


class Control(JobControl, AccountControl, MediaControl):
    """
    Controls jobs, accounts and files, injects faults, and shows the requests; safe to use from any thread.

    ``token``, ``schema``, ``results_with_reply_ref``, ``media_bytes`` and ``link_seconds`` may be assigned to
    at any time, as when a token is rotated or the API is revised.

    :param service: the accounts and jobs
    :param token: the API token that requests must carry
    :param schema: the revision of the API, one of :data:`~airflow_pixverse.simulator.schema.SCHEMAS`
    :param results_with_reply_ref: whether results have the ``replyRef`` that the job was submitted with; it
        is not known whether those of the real service do
    :param media_bytes: how large the file of a result is; without it, as small as possible
    :param link_seconds: for how long the URL of a result can be used; without it, for ever
    :param seed: of the random numbers that choose the requests that meet a fault
    """

    def __init__(
        self,
        service: Service,
        token: str,
        schema: str,
        *,
        results_with_reply_ref: bool = False,
        media_bytes: int | None = None,
        link_seconds: float | None = None,
        seed: int = 0,
    ) -> None:
        MediaControl.__init__(self, service, media_bytes, link_seconds)
        self.token = token
        self.schema = schema
        self.results_with_reply_ref = results_with_reply_ref
        self.script = Script(seed)
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

    def inject(
        self,
        fault: Fault,
        times: int | None = 1,
        path: str | None = None,
        *,
        method: str | None = None,
        share: float = 1,
    ) -> None:
        """
        Answer requests with a fault, once those injected before are used up.

        :param fault: one of :mod:`~airflow_pixverse.simulator.faults`
        :param times: how many requests; ``None`` for all until :meth:`clear_faults`
        :param path: only requests to paths that end with this, such as ``scheduler/available``
        :param method: only requests with this method, such as ``POST``
        :param share: only this share of them, chosen at random: 0.2 for one in five
        """
        if not isinstance(fault, Fault):
            raise FieldError("fault", "must be made by a function of airflow_pixverse.simulator.faults")
        self.script.inject(
            Injected(
                fault,
                math.inf if times is None else integer("times", times, 1),
                path or "",
                method,
                fraction("share", share),
            )
        )

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
