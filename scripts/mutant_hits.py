"""A pytest plugin: note which functions each test runs, where mutmut's switch stands at ``stats``.

A file ``hits-*.json`` in the current folder holds, for each test, its seconds and the functions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from mutmut.state import state

# mutmut has no public name for what was run since it was cleared.
_run = state()._stats  # noqa: SLF001
_hits: dict[str, dict[str, Any]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note what one test runs, and for how long."""
    _run.clear()
    began = perf_counter()
    try:
        return (yield)
    finally:
        _hits[item.nodeid] = {"seconds": perf_counter() - began, "functions": sorted(_run)}


def pytest_sessionfinish() -> None:
    """Write down what was noted, in each process of pytest-xdist."""
    if _hits:
        Path(f"hits-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}.json").write_text(json.dumps(_hits))
