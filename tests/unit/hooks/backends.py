"""A secrets backend of Airflow that can be told to fail."""

import json
from typing import ClassVar

from airflow.secrets import BaseSecretsBackend

NAME = f"{__name__}.FlakyBackend"
NOT_FOUND = object()


class FlakyBackend(BaseSecretsBackend):
    """
    Knows the connection ``flaky``, but has each of ``troubles`` first: an exception, or ``NOT_FOUND``.

    While it ``is_down`` it raises at every look.
    """

    connection: ClassVar[dict] = {}
    troubles: ClassVar[list] = []
    looks: ClassVar[list] = []
    is_down = False

    def get_conn_value(self, conn_id, team_name=None):
        """The connection as JSON; None if it is not found."""
        if conn_id != "flaky":
            return None
        self.looks.append(conn_id)
        if self.is_down:
            raise ConnectionRefusedError("the vault is down")
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is NOT_FOUND:
            return None
        if trouble:
            raise trouble
        return json.dumps(self.connection)
