"""The page behind Airflow's own API server, with its simple auth manager; not before Airflow 3.1.1."""

import base64
import os
from dataclasses import dataclass

import pytest

from airflow_pixverse.capabilities import HAS_PLUGIN_PAGES

if not HAS_PLUGIN_PAGES:
    collect_ignore_glob = ["test_*.py"]

ROLES = ("viewer", "user", "op", "admin")
_SETTINGS = {
    # Airflow sets this where its API server starts, which is why it finds the connections of its database.
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
    """Each test has them, but none elsewhere, which are not in a process of the API server."""
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
    """Each test has the database for itself."""
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


@pytest.fixture(autouse=True)
def _rights():
    """Each test begins with everybody allowed what the simple auth manager allows."""
    from tests.page.auth_manager import AuthManager

    AuthManager.hidden_dags = frozenset()
    AuthManager.may_see_plugins = True


@dataclass
class Page:
    """The page as browsers see it."""

    app: object

    def forget(self):
        """Let it be a page that nobody has looked at yet."""
        from airflow_pixverse.page.app import new_app

        [mount] = [route for route in self.app.routes if getattr(route, "path", "") == "/pixverse"]
        mount.app = new_app()

    def client(self, role="admin", **options):
        """Return the client of a user; of nobody in particular for None."""
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from fastapi.testclient import TestClient

        headers = {}
        if role:
            user = SimpleAuthManagerUser(username=role, role=role.upper())
            headers["Authorization"] = f"Bearer {get_auth_manager().generate_jwt(user)}"
        return TestClient(self.app, headers=headers, **options)

    def capacity(self, role="admin", **params):
        """Return what the page is answered."""
        answer = self.client(role).get("/pixverse/api/capacity", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def page(api_server, monkeypatch):
    """A page that nobody has looked at yet; its first look is waited for, however slow the machine is."""
    monkeypatch.setattr("airflow_pixverse.page.capacity.FIRST_LOOK_WAITS", 60.0)
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
    """Whoever looks sees what is there now: nothing is kept."""
    monkeypatch.setattr("airflow_pixverse.page.capacity.CALL_EVERY", 0.0)
    monkeypatch.setattr("airflow_pixverse.page.capacity._FORGOTTEN_AFTER", -1.0)
    monkeypatch.setattr("airflow_pixverse.page.database.READ_EVERY", 0.0)
    monkeypatch.setattr("airflow_pixverse.hooks.lookup.SECOND_LOOK_AFTER", 0.0)
