"""PixverseHook: an Airflow connection becomes a client of the PixVerse API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, BaseHook

from airflow_pixverse.api.errors import PixverseAuthError, PixverseError, PixverseFatalError
from airflow_pixverse.hooks.connection import UI_FIELD_BEHAVIOUR, client_from_connection

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.models import Capacity, ExecutingJob


class PixverseHook(BaseHook):
    """
    Call the PixVerse API with the token of an Airflow connection.

    Use it in your own tasks; the sensor and the operator of this provider use it too.

    :param pixverse_conn_id: id of a connection of type ``pixverse``. Its password is the API token of
        useapi.net; see the README for the other fields.
    :param max_retries: how often a call is repeated after transient trouble; None: as the
        connection says.
    """

    conn_name_attr = "pixverse_conn_id"
    default_conn_name = "pixverse_default"
    conn_type = "pixverse"
    hook_name = "PixVerse"

    def __init__(self, pixverse_conn_id: str = default_conn_name, *, max_retries: int | None = None) -> None:
        super().__init__()
        self.pixverse_conn_id = pixverse_conn_id
        self.max_retries = max_retries

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the connection form looks, for Airflow before 3.2, which reads no metadata."""
        return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOUR.items()}

    def get_conn(self) -> PixverseClient:
        """
        Return the client, the same one at each call.

        :raises PixverseFatalError: the connection is missing, or cannot be used.
        """
        return self._client

    @cached_property
    def _client(self) -> PixverseClient:
        with reading_connection(self.pixverse_conn_id):
            conn = self.get_connection(self.pixverse_conn_id)
        return client_from_connection(conn, max_retries=self.max_retries)

    def list_executing(self) -> list[ExecutingJob]:
        """
        Return the jobs being executed by the API (``GET scheduler/``), in the API's order.

        :raises PixverseFatalError: asking again will not help.
        :raises PixverseTransientError: no usable answer, even after the retries.
        """
        return self.get_conn().list_executing()

    def get_capacity(self) -> Capacity:
        """
        Return what executes and the room of each account (``GET scheduler/available``).

        :raises PixverseFatalError: asking again will not help.
        :raises PixverseTransientError: no usable answer, even after the retries.
        """
        return self.get_conn().get_capacity()

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the connection works, for the Test button and ``airflow connections test``."""
        try:
            capacity = self.get_capacity()
        except PixverseAuthError as error:
            return False, f"The API token was refused: {error}"
        except PixverseFatalError as error:
            return False, str(error)
        except PixverseError as error:
            if error.status is None:
                return False, f"Cannot reach {self.get_conn().base_url}: {error}"
            return False, f"The service has trouble: {error}"
        accounts = len(capacity.accounts)
        return True, f"Connected: {capacity.free_slots()} free slots in {accounts} accounts"


@contextmanager
def reading_connection(conn_id: str) -> Iterator[None]:
    """Turn what Airflow raises for a connection that is missing or unreadable into a PixverseFatalError."""
    try:
        yield
    except AirflowNotFoundException:
        raise PixverseFatalError(
            f"connection {conn_id!r} is not defined, or its definition cannot be read: "
            "create it under Admin > Connections, "
            f"with `airflow connections add {conn_id} --conn-type pixverse --conn-password <API token>`, "
            f"or in the environment variable AIRFLOW_CONN_{conn_id.upper()}"
        ) from None
    except (AirflowException, ValueError) as error:
        # "from None" and no words of the error: Airflow puts the whole URI into it, and so the token.
        raise PixverseFatalError(
            f"connection {conn_id!r} cannot be read ({type(error).__name__}): check its JSON or URI; "
            "in a URI the token must be percent-encoded"
        ) from None
