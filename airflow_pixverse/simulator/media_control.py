"""What a test, or a person through ``/simulator/``, can do to files: those of results, and uploaded ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_pixverse.simulator.fields import integer, number
from airflow_pixverse.simulator.holds import Holds
from airflow_pixverse.simulator.links import Links
from airflow_pixverse.simulator.media_files import MAX_BYTES, MIN_BYTES, MediaFile
from airflow_pixverse.simulator.results import KINDS
from airflow_pixverse.simulator.state import UnknownJobError
from airflow_pixverse.simulator.uploads import Upload, Uploads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_pixverse.simulator.service import Service
    from airflow_pixverse.simulator.state import Job

KEPT_UPLOADS = 10_000


class MediaControl:
    """
    Decides how large the files of results are and how long their URLs live, and shows what was uploaded.

    :param service: the accounts and jobs
    :param media_bytes: how large the file of a result is; without it, as small as possible
    :param link_seconds: for how long the URL of a result can be used; without it, for ever
    """

    def __init__(
        self, service: Service, media_bytes: int | None = None, link_seconds: float | None = None
    ) -> None:
        self.service = service
        self.media_bytes = media_bytes
        self.links = Links()
        self.link_seconds = link_seconds
        self.holds = Holds()
        self.files = Uploads(KEPT_UPLOADS)

    @property
    def media_bytes(self) -> int | None:
        """How large the file of a result is; ``None`` for as small as possible."""
        return self._media_bytes

    @media_bytes.setter
    def media_bytes(self, size: int | None) -> None:
        self._media_bytes = None if size is None else integer("media_bytes", size, MIN_BYTES, MAX_BYTES)

    @property
    def link_seconds(self) -> float | None:
        """For how long the URL of a result can be used; ``None`` for ever, and then it is not signed."""
        return self.links.seconds

    @link_seconds.setter
    def link_seconds(self, seconds: float | None) -> None:
        self.links.seconds = None if seconds is None else number("link_seconds", seconds)

    def expire_links(self) -> None:
        """Let all signed URLs that results have had until now expire; ask again for the result to get one."""
        self.links.expire()

    @property
    def uploads(self) -> list[Upload]:
        """The last 10 000 files that were uploaded, oldest first."""
        return self.files.kept()

    def media_size(self, job_id: str) -> int:
        """Return how many bytes the file of the job's result has, or raise :class:`UnknownJobError`."""
        return self._file(self.service.find(job_id)).size

    def media_sha256(self, job_id: str) -> str:
        """Return what the file of the job's result hashes to, or raise :class:`UnknownJobError`."""
        return self._file(self.service.find(job_id)).sha256

    @property
    def held(self) -> int:
        """How many answers are held by the fault ``hold``."""
        return self.holds.count

    def wait_for_held(self, n: int = 1, timeout: float = 60) -> None:
        """
        Wait until at least ``n`` answers are held at the same time, or with 0, until none is.

        :param timeout: seconds after which ``TimeoutError`` is raised
        """
        enough = self.holds.when(n)
        try:
            enough.result(timeout)
        except TimeoutError:
            enough.cancel()
            raise TimeoutError(f"{n} were to be held within {timeout} s; {self.held} are") from None

    def release(self) -> int:
        """Let all answers that are held go on, and return how many there were."""
        return self.holds.release()

    def check_link(self, path: str, query: Mapping[str, str]) -> None:
        """Check the link to a file, or raise :class:`~airflow_pixverse.simulator.links.LinkExpiredError`."""
        self.links.check(path, query, self.service.now)

    def media_file(self, job_number: int, suffix: str) -> MediaFile:
        """Return the file of a job that was completed, or raise :class:`UnknownJobError`."""
        for job in self.service.jobs():
            if job.number == job_number and job.type in KINDS and KINDS[job.type].suffix == suffix:
                return self._file(job)
        raise UnknownJobError(f"There is no file {job_number}.{suffix}")

    def _file(self, job: Job) -> MediaFile:
        if job.type not in KINDS or self.service.status(job) != "COMPLETED":
            raise UnknownJobError(f"The job {job.id} has no file")
        return MediaFile(job.number, KINDS[job.type].suffix, self.media_bytes)
