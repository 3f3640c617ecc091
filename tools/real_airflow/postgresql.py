"""PostgreSQL as the database of an Airflow: a server of its own, run with the programs of this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self

import sqlalchemy
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tools.real_airflow.errors import AirflowError
from tools.real_airflow.ports import LOOPBACK, free_port
from tools.real_airflow.processes import Processes

DEBIAN = Path("/usr/lib/postgresql")
# Who runs the server when root starts it, as it refuses to run as root. Debian's package creates this user.
USER = "postgres"
SETTINGS = (
    "max_connections=200",
    # It is thrown away at the end, so what a power cut would do to it does not matter.
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    # A process may be paused in the middle of a transaction, and schedulers pass over rows that are locked.
    "idle_in_transaction_session_timeout=15s",
)
START_TIMEOUT = 60.0


def installed_programs() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``, of the newest version; None if there is none."""
    debian = sorted(DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    found = debian[-1:] or ([Path(on_path)] if on_path else [])
    return found[0].resolve().parent if found else None


class PostgreSQL:
    """
    An empty server on loopback; a context manager that runs it while it is open, and then deletes it.

    :ivar url: the URL of its database, for SQLAlchemy.
    :ivar directory: the folder with all its files.
    :raises AirflowError: PostgreSQL is not installed, or does not start.
    """

    def __init__(self) -> None:
        programs = installed_programs()
        if programs is None:
            raise AirflowError("PostgreSQL is not installed: on Debian, `apt-get install postgresql`.")
        self._programs = programs
        self._port = free_port()
        self.url = f"postgresql+psycopg2://airflow@{LOOPBACK}:{self._port}/postgres"

    def __enter__(self) -> Self:
        # Not below a folder of the caller, into which the user that runs the server may not look.
        self._temporary = tempfile.TemporaryDirectory(prefix="airflow-pixverse-postgresql-")
        self.directory = Path(self._temporary.name)
        user = USER if os.geteuid() == 0 else None
        if user:
            shutil.chown(self.directory, user, user)
        self._processes = Processes(self.directory, self.directory, os.environ, user=user)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._processes.stop()
        self._temporary.cleanup()

    @property
    def pid(self) -> int | None:
        """The process id of the server; None if it does not run."""
        return self._processes.pid("postgresql")

    def _start(self) -> None:
        data = self.directory / "data"
        create = [str(self._programs / "initdb"), "--pgdata", str(data), "--username", "airflow"]
        create += ["--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync"]
        self._processes.run("initdb", create, timeout=START_TIMEOUT)
        serve = [str(self._programs / "postgres"), "-D", str(data), "-h", LOOPBACK, "-p", str(self._port)]
        for setting in ("unix_socket_directories=", *SETTINGS):
            serve += ["-c", setting]
        self._processes.start("postgresql", serve)
        engine = sqlalchemy.create_engine(self.url, poolclass=NullPool)
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(engine):
            self._processes.check()
            if time.monotonic() > deadline:
                raise AirflowError(f"PostgreSQL does not answer{self._processes.report()}")
            time.sleep(0.1)


def _answers(engine: sqlalchemy.Engine) -> bool:
    try:
        with engine.connect():
            return True
    except OperationalError:
        return False
