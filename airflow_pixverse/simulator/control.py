"""The control of the simulated service, for tests, and over HTTP for a person at the keyboard."""

import json
import math
import re
from datetime import datetime

from pydantic import AwareDatetime

from airflow_pixverse.simulator.errors import (
    Count,
    FieldError,
    UnknownJobError,
    header,
    integer,
    number,
    text,
)
from airflow_pixverse.simulator.faults import Fault
from airflow_pixverse.simulator.jobs import Job, Outcome
from airflow_pixverse.simulator.kinds import KINDS
from airflow_pixverse.simulator.log import Log, LoggedRequest, Upload
from airflow_pixverse.simulator.media import MAX_BYTES, MIN_BYTES, Links, MediaFile
from airflow_pixverse.simulator.schema import NEWEST, find_schema
from airflow_pixverse.simulator.script import Injected, Script
from airflow_pixverse.simulator.service import Service
from airflow_pixverse.simulator.streams import Holds

KEPT_REQUESTS = 10_000
KEPT_UPLOADS = 10_000
_USER = re.compile(r"user:([0-9]+)-")


class Control:
    """
    Controls jobs, accounts and files, injects faults, and shows the requests; safe to use from any thread.

    ``token``, ``schema``, ``results_with_reply_ref``, ``media_bytes`` and ``link_seconds`` may be assigned to
    at any time, as when a token is rotated or the API is revised. A token ``user:<number>-...`` names its
    user: jobs that start from then on have the number in their ids, and jobs of other users are not found.

    :mod:`~airflow_pixverse.simulator.admin` derives its routes from the methods and their annotations.

    :param service: the accounts and jobs
    :param seed: of the random numbers that choose the requests that meet a fault
    """

    results_with_reply_ref = False
    """Whether results have the ``replyRef`` of the submit; it is not known if those of the service do."""

    def __init__(self, service: Service, seed: int = 0) -> None:
        self.service = service
        self.script = Script(seed)
        self.log = Log[LoggedRequest](KEPT_REQUESTS)
        self.files = Log[Upload](KEPT_UPLOADS)
        self.links = Links()
        self.holds = Holds()
        self._media_bytes: int | None = None
        self._token = ""
        self._schema = NEWEST

    @property
    def token(self) -> str:
        """The API token that requests must carry."""
        return self._token

    @token.setter
    def token(self, token: str) -> None:
        self._token = header("token", token)
        if named := _USER.match(token):
            self.service.user = named.group(1)

    @property
    def schema(self) -> str:
        """The revision of the API that jobs and capacity are written in."""
        return self._schema

    @schema.setter
    def schema(self, schema: str) -> None:
        find_schema(schema)
        self._schema = schema

    # Jobs

    def start_job(
        self,
        email: str | None = None,
        *,
        type: str = "video",  # noqa: A002 - the API's word
        seconds: float | None = None,
        started: datetime | None = None,
        reply_url: str | None = None,
        reply_ref: str | None = None,
        outcome: str = "completed",
        reason: str | None = None,
        website: bool = False,
    ) -> str:
        """
        Start a job, and return its id.

        :param email: the account; None for a random one with a free slot
        :param type: ``video``, ``image``, ``music``, or any other
        :param seconds: how long it runs from now on; None for until :meth:`end_job`
        :param started: the start that the API shows (with a time zone); None for now
        :param reply_url: its ``replyUrl``
        :param reply_ref: its ``replyRef``
        :param outcome: how it ends: ``completed``, ``failed`` or ``moderated``
        :param reason: why it fails or is moderated
        :param website: whether a user starts it on the website. Then it takes a slot, but the scheduler
            endpoints do not know of it, so that a submit may be refused although a slot looks free
        :raises AtCapacityError: when no slot is free
        :raises UnknownAccountError: when no account has this e-mail
        :raises AccountError: when the account has a pending error
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
            outcome=Outcome.named(outcome),
            reason=reason,
            tracked=not website,
        )

    def end_job(self, job_id: str, outcome: str | None = None, reason: str | None = None) -> None:
        """
        End a job now.

        :param outcome: ``completed``, ``failed`` or ``moderated``; None for the way it would have ended
        :param reason: why it failed or was moderated
        :raises UnknownJobError: when no job with this id runs; a cancelled one still runs
        """
        self.service.end(job_id, None if outcome is None else Outcome.named(outcome), reason)

    def end_all_jobs(self) -> int:
        """End every job, and return how many there were."""
        return self.service.end_all()

    def fill(self, seconds: float | None = None) -> list[str]:
        """
        Start jobs until no slot is free, and return their ids.

        :param seconds: after which the first of them ends; the last ends at most 20 % later. None for until
            :meth:`end_job` or :meth:`end_all_jobs`
        """
        return self.service.fill(math.inf if seconds is None else number("seconds", seconds))

    def set_fate(self, prompt: str, fate: str | None) -> None:
        """
        Decide by the prompt how jobs end that are submitted from now on.

        :param prompt: a part of the prompts
        :param fate: ``completed``, ``failed`` or ``moderated`` (once it has run), ``refused`` (with 422, as
            a moderated prompt) or ``busy`` (with 429, although slots are free); None removes it
        """
        self.service.fates.choose(prompt, fate)

    def clear_fates(self) -> None:
        """Remove the fates of all prompts."""
        self.service.fates.clear()

    @property
    def jobs(self) -> list[Job]:
        """All jobs that are running, and the last 10 000 others, in the order in which they started."""
        return self.service.jobs()

    def submitted(self, **fields: object) -> list[Job]:
        """
        Return those of :attr:`jobs` that were submitted through the API.

        :param fields: only those in whose payload these fields have these values, compared as text
        """
        return [
            job
            for job in self.jobs
            if job.endpoint
            and all(str(job.payload.get(name)) == str(value) for name, value in fields.items())
        ]

    @property
    def submitted_count(self) -> int:
        """The number of jobs that were submitted through the API, kept or not."""
        return self.service.submitted_count

    def wait_for_submitted(self, n: int, timeout: float = 60) -> None:
        """Wait until ``n`` jobs were submitted in all; ``TimeoutError`` after ``timeout`` seconds."""
        self.service.wait_for_submitted(n, timeout)

    # Accounts

    def free(self, email: str | None = None) -> int:
        """Return how many slots are free, at one account or at all."""
        return self.service.free(email)

    def set_max_jobs(self, email: str, max_jobs: Count) -> None:
        """Change how many jobs an account may execute at once; jobs that are executing continue."""
        self.service.configure(email, max_jobs=integer("max_jobs", max_jobs, 0))

    def set_pending_error(self, email: str, error: str | None) -> None:
        """Give an account an error, so that it refuses jobs with 596; None removes the error."""
        self.service.configure(email, pending_error=None if error is None else text("pending_error", error))

    def set_credits(self, email: str, credits: Count | None) -> None:  # noqa: A002 - the API's word
        """Change how many credits an account has; a job costs 20. None for credits that are never used up."""
        self.service.configure(email, credits=None if credits is None else integer("credits", credits, 0))

    def set_expiry(self, email: str, expires: AwareDatetime) -> None:
        """Change when an account's plan ends (with a time zone); the account still takes jobs after that."""
        if expires.tzinfo is None:
            raise FieldError("expires", "must have a time zone")
        self.service.configure(email, expires=expires.timestamp())

    # Files

    @property
    def media_bytes(self) -> int | None:
        """The size of the file of a result; None for as small as possible."""
        return self._media_bytes

    @media_bytes.setter
    def media_bytes(self, size: int | None) -> None:
        self._media_bytes = None if size is None else integer("media_bytes", size, MIN_BYTES, MAX_BYTES)

    @property
    def link_seconds(self) -> float | None:
        """For how long the URL of a result can be used; None for forever, and then it is not signed."""
        return self.links.seconds

    @link_seconds.setter
    def link_seconds(self, seconds: float | None) -> None:
        self.links.seconds = None if seconds is None else number("link_seconds", seconds)

    def expire_links(self) -> None:
        """Let all signed URLs of results expire; a client must ask for the result again to get another."""
        self.links.expire()

    @property
    def uploads(self) -> list[Upload]:
        """The last 10 000 files that were uploaded, oldest first."""
        return self.files.kept()

    def media_size(self, job_id: str) -> int:
        """Return how many bytes the file of the job's result has, or raise :class:`UnknownJobError`."""
        return self._file(self.service.find(job_id)).size

    def media_sha256(self, job_id: str) -> str:
        """Return the SHA-256 of the file of the job's result, or raise :class:`UnknownJobError`."""
        return self._file(self.service.find(job_id)).sha256

    def media_file(self, job_number: int, suffix: str) -> MediaFile:
        """Return the file of a completed job, or raise :class:`UnknownJobError`."""
        for job in self.service.jobs():
            if job.number == job_number and job.type in KINDS and KINDS[job.type].suffix == suffix:
                return self._file(job)
        raise UnknownJobError(f"There is no file {job_number}.{suffix}")

    def _file(self, job: Job) -> MediaFile:
        if job.type not in KINDS or self.service.status(job) != "COMPLETED":
            raise UnknownJobError(f"The job {job.id} has no file")
        return MediaFile(job.number, KINDS[job.type].suffix, self.media_bytes)

    # Requests and their faults

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
        :param times: how many requests; None for all until :meth:`clear_faults`
        :param path: only requests to paths that end with this, such as ``scheduler/available``
        :param method: only requests with this method, such as ``POST``
        :param share: only this share of them, chosen at random: 0.2 for one in five
        """
        if not isinstance(fault, Fault):
            raise FieldError("fault", "must be made by a function of airflow_pixverse.simulator.faults")
        count = math.inf if times is None else integer("times", times, 1)
        self.script.inject(Injected(fault, count, path or "", method, number("share", share, 1)))

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.script.clear_faults()

    def respond_with(self, path: str, body: object, status: int = 200) -> None:
        """
        Answer authorized requests with a body of your own.

        :param path: requests to paths that end with this
        :param body: ``bytes`` are sent as they are, anything else as JSON; None restores the usual answer
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
        """The number of requests, without those to ``/simulator/``."""
        return self.log.count

    def wait_for_requests(self, n: int, timeout: float = 60) -> None:
        """Wait until ``n`` requests, answered or not, came; ``TimeoutError`` after ``timeout`` seconds."""
        self.log.wait_for(n, timeout)

    @property
    def held(self) -> int:
        """The number of answers that the fault ``hold`` holds."""
        return self.holds.count

    def wait_for_held(self, n: int = 1, timeout: float = 60) -> None:
        """Wait until ``n`` answers are held, 0 for none; ``TimeoutError`` after ``timeout`` seconds."""
        enough = self.holds.when(n)
        try:
            enough.result(timeout)
        except TimeoutError:
            enough.cancel()
            raise TimeoutError(f"{n} were to be held within {timeout} s; {self.held} are") from None

    def release(self) -> int:
        """Let all answers that are held continue, and return how many there were."""
        return self.holds.release()
