"""
A pytest fixture.

Import it in a ``conftest.py``, and tests can ask for it::

    from airflow_pixverse.simulator.fixtures import pixverse_simulator
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_pixverse.simulator.server import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pixverse_simulator"]


@pytest.fixture
def pixverse_simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A running :class:`Simulator`, to which the connection ``pixverse_default`` leads for this one test."""
    with Simulator() as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(simulator.connection))
        yield simulator
