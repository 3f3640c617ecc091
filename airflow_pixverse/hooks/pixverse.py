"""PixverseHook: call the PixVerse API with an Airflow connection."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_pixverse.api.errors import PixverseAuthError, PixverseError, PixverseTransientError
from airflow_pixverse.hooks.connection import (
    CONN_TYPE,
    UI_FIELD_BEHAVIOUR,
    client_from_connection,
    media_client_from_connection,
)
from airflow_pixverse.hooks.lookup import read_connection

__all__ = ["PixverseHook"]

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection, ObjectStoragePath

    from airflow_pixverse.api.accounts import Account, Features
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.media import MediaClient
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.api.scheduler import Capacity, ExecutingJob
    from airflow_pixverse.api.uploads import Upload


class PixverseHook(BaseHook):
    """
    Call the PixVerse API with the token of an Airflow connection.

    Use it in your own tasks; the sensors and operators of this provider use it too. Unless a method says
    otherwise, it raises ``PixverseFatalError`` if asking again will not help, and
    ``PixverseTransientError`` without a usable response, even after the retries.

    :param pixverse_conn_id: id of a connection of type ``pixverse``. Its password is the API token of
        useapi.net; ``docs/how-to/connect.md`` has the other fields.
    :param max_retries: how often a call is repeated after a transient error; None for the connection's
        number.
    """

    conn_name_attr = "pixverse_conn_id"
    default_conn_name = "pixverse_default"
    conn_type = CONN_TYPE
    hook_name = "PixVerse"

    def __init__(self, pixverse_conn_id: str = default_conn_name, *, max_retries: int | None = None) -> None:
        super().__init__()
        self.pixverse_conn_id = pixverse_conn_id
        self.max_retries = max_retries

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the fields of the connection form, for Airflow before 3.2, which reads no metadata."""
        return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOUR.items()}

    def get_conn(self) -> PixverseClient:
        """
        Return the client, the same one at each call.

        :raises PixverseFatalError: the connection is missing, or cannot be used.
        :raises PixverseTransientError: Airflow or a secrets backend does not answer.
        """
        return self._client

    def read_again(self) -> None:
        """Read the connection again before the next call: its token may have been replaced."""
        if client := self.__dict__.pop("_client", None):
            client.close()
        self.__dict__.pop("_connection", None)

    @cached_property
    def _connection(self) -> Connection:
        return read_connection(self.pixverse_conn_id, get_connection=self.get_connection)

    @cached_property
    def _client(self) -> PixverseClient:
        return client_from_connection(self._connection, max_retries=self.max_retries)

    def get_media_client(self) -> MediaClient:
        """
        Return a client that reads the files behind the URLs of results, without the API token.

        :raises PixverseFatalError: the connection is missing, or cannot be used.
        :raises PixverseTransientError: Airflow or a secrets backend does not answer.
        """
        self.get_conn()  # refuses a connection that cannot be used
        return media_client_from_connection(self._connection)

    @property
    def min_credits(self) -> int | None:
        """
        Credits that each account keeps, by the extra of the connection; None if it does not say.

        :raises PixverseFatalError: the connection is missing, or cannot be used.
        :raises PixverseTransientError: Airflow or a secrets backend does not answer.
        """
        from airflow_pixverse.hooks.extra import parse_extra

        self.get_conn()  # refuses a connection that cannot be used
        return parse_extra(self._connection.extra)[0].min_credits

    def list_executing(self) -> list[ExecutingJob]:
        """Return the jobs being executed by the API (``GET scheduler/``), in the API's order."""
        return self.get_conn().list_executing()

    def get_capacity(self) -> Capacity:
        """Return the executing jobs and the capacity of each account (``GET scheduler/available``)."""
        return self.get_conn().get_capacity()

    def get_result(self, job_id: str, kind: str | None = None) -> JobResult:
        """
        Return the state of a job, and its result. A job that is not finished, or has failed, is no error.

        :param job_id: id of the job.
        :param kind: ``video``, ``image``, ``music`` or ``speech``; None for that of the id.
        """
        return self.get_conn().get_result(job_id, kind)

    def cancel(self, job_id: str) -> bool:
        """
        Stop the API's tracking of a job, which frees its slot. PixVerse may continue the job.

        :param job_id: id of the job.
        :return: False if no job with this id is executing.
        :raises PixverseTransientError: no usable response; it is safe to cancel the job again.
        """
        return self.get_conn().cancel(job_id)

    def upload(self, path: str | ObjectStoragePath, email: str | None = None) -> Upload:
        """
        Upload an image, a video or a sound from object storage (``POST files/``), 5 GB at most.

        :param path: such as ``s3://bucket/a.png``.
        :param email: the account to upload it with, although every account may use it; None for any account.
        :return: its ``path``, the name of the file in payloads; and its ``url`` and ``id``, if it has them.
        :raises ValueError: ``path`` is none.
        :raises PixverseError: it cannot be read.
        """
        from airflow_pixverse.storage.paths import parse_storage_uri
        from airflow_pixverse.storage.upload import source_of, upload

        return upload(self.get_conn(), source_of(parse_storage_uri(path, "path")), email)

    def get_accounts(self) -> list[Account]:
        """Return the PixVerse accounts that are configured at useapi.net."""
        return self.get_conn().get_accounts()

    def get_features(self, email: str | None = None) -> Features:
        """
        Return plan and credits of an account.

        :param email: the account; needed where more than one is configured.
        """
        return self.get_conn().get_features(email)

    def test_connection(self) -> tuple[bool, str]:
        """Test the connection, for Airflow's Test button: return whether it works, and a sentence."""
        from airflow_pixverse.api.accounts import account_problems
        from airflow_pixverse.api.http.address import host_of

        try:
            client = self.get_conn()
            capacity = client.get_capacity()
        except PixverseError as error:
            return False, _message(error)
        host = host_of(client.base_url)
        if not (accounts := len(capacity.accounts)):
            return True, f"Connected to {host}, but no PixVerse account is configured there"
        connected = f"Connected to {host}. Accounts: {accounts}, free slots: {capacity.free_slots()}"
        return True, ". ".join([connected, *account_problems(client)])


def _message(error: PixverseError) -> str:
    """Return an error, which names the host itself, with a few words on its meaning."""
    if isinstance(error, PixverseTransientError):
        is_down = error.status is not None and not error.says_success
        return f"{'The service answered with an error' if is_down else 'No usable answer'}: {error}"
    return f"The API token was refused: {error}" if isinstance(error, PixverseAuthError) else str(error)
