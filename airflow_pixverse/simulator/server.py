"""The whole simulator: the service, served on a port of this machine by a thread of its own."""

import asyncio
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Self

from aiohttp import web

from airflow_pixverse.simulator.app import create_app
from airflow_pixverse.simulator.control import Control
from airflow_pixverse.simulator.errors import FieldError, integer, is_loopback, number, text
from airflow_pixverse.simulator.schema import NEWEST, find_schema
from airflow_pixverse.simulator.service import Service

BACKLOG = 1024


class Simulator(Control):
    """
    The useapi.net PixVerse API on this machine; a context manager that serves inside the ``with`` block.

    :param accounts: how many jobs each account may execute at once, by e-mail
    :param token: the API token that requests must carry
    :param schema: the revision of the API, one of :data:`~airflow_pixverse.simulator.schema.SCHEMAS`
    :param busy: for how many seconds from now every slot is taken; the jobs in them end soon after
    :param arrivals: how many jobs a minute other users submit, on average
    :param job_seconds: how long submitted jobs run, shortest and longest, in seconds; None for until they are
        ended
    :param failed: the share of submitted jobs that fail, 0 to 1
    :param moderated: the share of submitted jobs that are moderated once they have run, 0 to 1
    :param fates: how submitted jobs end, by their prompt, as in
        :meth:`~airflow_pixverse.simulator.control.Control.set_fate`
    :param credits: how many each account has, where a job costs 20; None if they are never used up
    :param result_delay: how many seconds after a job has left the list its result can be seen
    :param results_with_reply_ref: whether results have the ``replyRef`` that the job was submitted with
    :param media_bytes: how large the file of a result is, up to 4 GB; None for as small as possible
    :param link_seconds: for how long the URL of a result can be used; None for forever
    :param seed: the same seed gives the same jobs, fates and faults
    :param host: a loopback address
    :param port: 0 picks a free one
    :param clock: returns the time, in seconds since the epoch
    :raises FieldError: (a ``ValueError``) when one of these cannot be used
    """

    def __init__(
        self,
        accounts: Mapping[str, int] | None = None,
        *,
        token: str = "user:1-demo",  # noqa: S107 - not a secret
        schema: str = NEWEST,
        busy: float = 0,
        arrivals: float = 0,
        job_seconds: tuple[float, float] | None = None,
        failed: float = 0,
        moderated: float = 0,
        fates: Mapping[str, str] | None = None,
        credits: int | None = None,  # noqa: A002 - the API's word
        result_delay: float = 0,
        results_with_reply_ref: bool = False,
        media_bytes: int | None = None,
        link_seconds: float | None = None,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        accounts = {"a-1@example.com": 3, "a-2@example.com": 3} if accounts is None else accounts
        for email, max_jobs in accounts.items():
            integer(text("accounts", email), max_jobs, 0)
        if job_seconds and not 0 <= job_seconds[0] <= job_seconds[1] < math.inf:
            raise FieldError("job_seconds", "must be a shortest and a longest time, in seconds")
        service = Service(
            accounts,
            clock=clock,
            arrivals_per_minute=number("arrivals", arrivals),
            job_seconds=job_seconds,
            types=find_schema(schema).types,
            seed=seed,
            failed=failed,
            moderated=moderated,
            credits=None if credits is None else integer("credits", credits, 0),
            result_delay=number("result_delay", result_delay),
        )
        for prompt, fate in (fates or {}).items():
            service.fates.choose(prompt, fate)
        super().__init__(service, seed)
        self.token = token
        self.schema = schema
        self.results_with_reply_ref = results_with_reply_ref
        self.media_bytes = media_bytes
        self.link_seconds = link_seconds
        if not is_loopback(host):
            raise FieldError("host", "must be a loopback address, such as 127.0.0.1")
        self.host = "127.0.0.1" if host == "localhost" else host
        self.port = integer("port", port, 0, 65535)
        self._thread: threading.Thread | None = None
        self._stopping: Future[None] = Future()
        if number("busy", busy):
            self.fill(busy)

    @property
    def url(self) -> str:
        """The origin to send requests to, such as ``http://127.0.0.1:8900``."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def connection(self) -> dict[str, str]:
        """The Airflow connection: ``json.dumps`` it into ``AIRFLOW_CONN_PIXVERSE_DEFAULT``."""
        # Its results are on this machine.
        extra = json.dumps({"allow_private_results": True})
        return {"conn_type": "pixverse", "host": self.url, "password": self.token, "extra": extra}

    def start(self) -> Self:
        """
        Start to serve; after :meth:`stop`, on the same port as before.

        :raises OSError: when the port cannot be used
        """
        if self._thread:
            raise RuntimeError("The simulator is running already")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)
        self.port = listener.getsockname()[1]
        self._stopping = Future()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(listener),), name="pixverse-simulator", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close all connections and the port, even in the middle of answers; jobs and logs stay."""
        if self._thread:
            self._stopping.set_result(None)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    async def _serve(self, listener: socket.socket) -> None:
        # Handlers are cancelled when their client disconnects, and soon after stop() is called.
        runner = web.AppRunner(
            create_app(self), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        try:
            await asyncio.wrap_future(self._stopping)
        finally:
            await runner.cleanup()
