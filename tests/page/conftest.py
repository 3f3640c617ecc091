"""The page in Airflow's own API server with its simple auth manager, on Airflow 3.1.1 and later."""

import base64
import os
from dataclasses import dataclass

import pytest

from airflow_pixverse.capabilities import HAS_PLUGIN_PAGES

if not HAS_PLUGIN_PAGES:
    collect_ignore_glob = ["test_*.py"]

CAPACITY = "/pixverse/api/capacity"
ROLES = ("viewer", "user", "op", "admin")
_SETTINGS = {
    # Airflow sets this where its API server starts, so that it finds the connections of its database.
    "_AIRFLOW_PROCESS_CONTEXT": "server",
    "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(b"of thirty-two bytes, as it ought").decode(),
    "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of these tests, which is long enough to sign with",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{role}:{role}" for role in ROLES),
    "AIRFLOW__CORE__AUTH_MANAGER": "tests.page.auth_manager.AuthManager",
}


@pytest.fixture(scope="session")
def api_server(airflow_db):
    """Airflow's API server, as it starts."""
    from airflow.api_fastapi.app import create_app

    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SETTINGS.items():
            patch.setenv(name, value)
        return create_app("core")


@pytest.fixture(autouse=True)
def _settings(monkeypatch):
    """Begin each test in an API server, and with the rights that the simple auth manager gives."""
    from tests.page.auth_manager import AuthManager

    AuthManager.hidden_dags = frozenset()
    AuthManager.may_see_plugins = True
    for name, value in _SETTINGS.items():
        monkeypatch.setenv(name, value)
    _forget_fernet_key()
    yield
    _forget_fernet_key()


def _forget_fernet_key():
    from airflow.models import crypto

    if hasattr(crypto.get_fernet, "cache_clear"):
        crypto.get_fernet.cache_clear()
    else:  # before Airflow 3.2
        crypto._fernet = None


@pytest.fixture(autouse=True)
def _empty_database(airflow_db):
    """Empty the database after each test."""
    from airflow.jobs.job import Job
    from airflow.models import Connection, DagModel, DagRun, Trigger
    from airflow.models.dag_version import DagVersion
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    yield
    with create_session() as session:
        for model in (DagRun, Trigger, SerializedDagModel, DagVersion, DagModel, Job, Connection):  # noqa: AIR311
            session.execute(delete(model))


@dataclass
class Page:
    """The page, as browsers use it."""

    app: object

    def forget(self):
        """Make the page new, without any snapshot."""
        from airflow_pixverse.page.app import new_app

        [mount] = [route for route in self.app.routes if getattr(route, "path", "") == "/pixverse"]
        mount.app = new_app()

    def client(self, role="admin", **options):
        """Return the client of a user; None for a client that is not logged in."""
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from fastapi.testclient import TestClient

        headers = {}
        if role:
            user = SimpleAuthManagerUser(username=role, role=role.upper())
            headers["Authorization"] = f"Bearer {get_auth_manager().generate_jwt(user)}"
        return TestClient(self.app, headers=headers, **options)

    def capacity(self, role="admin", **params):
        """Return the JSON of a successful response."""
        response = self.client(role).get(CAPACITY, params=params)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
def page(api_server, monkeypatch):
    """A new page, whose first poll a request waits for, however slow the machine is."""
    from airflow_pixverse.page import capacity

    monkeypatch.setattr(capacity, "FIRST_POLL_WAITS", 60.0)
    page = Page(api_server)
    page.forget()
    return page


@pytest.fixture
def no_connections(monkeypatch):
    """No connection is defined in the environment."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def always_new(monkeypatch):
    """Poll and read at each request."""
    from airflow_pixverse.hooks import lookup
    from airflow_pixverse.page import capacity, database

    monkeypatch.setattr(capacity, "POLL_EVERY", 0.0)
    monkeypatch.setattr(capacity, "STALE_AFTER", -1.0)
    monkeypatch.setattr(database, "READ_EVERY", 0.0)
    monkeypatch.setattr(lookup, "SECOND_LOOK_AFTER", 0.0)
