"""The times of the loop, and the threads that make its calls."""

from types import SimpleNamespace

import pytest

from airflow_pixverse.batch.loop import BatchLoop


@pytest.mark.parametrize(("is_awaited", "next_look"), [(False, 114.0), (True, 103.0)])
def test_look_that_is_awaited_does_not_wait_for_rows_that_are_accepted(is_awaited, next_look):
    loop = BatchLoop(
        [],
        looks=SimpleNamespace(is_awaited=is_awaited),
        submitting=SimpleNamespace(accepted_at=109.0),
        following=None,
        steps=None,
        poke_interval=5.0,
        reconnect=None,
    )
    assert loop._next_look(100.0) == next_look
