"""SQLite as the database of an Airflow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def sqlite_url(path: Path) -> str:
    """Return the URL of a file, for SQLAlchemy. Who finds it locked waits up to a minute."""
    return f"sqlite:///{path}?timeout=60"


def create(path: Path) -> None:
    """Create an empty database, or leave the one that is there as it is."""
    with closing(sqlite3.connect(path)) as database:
        # As Airflow 3 does itself: those who read and the one who writes do not wait for each other.
        database.execute("pragma journal_mode = wal")
