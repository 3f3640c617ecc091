"""What a job is called at the service."""

from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from airflow_pixverse.api.reply_ref import join, new_random_part, random_part_of
from airflow_pixverse.submits.task_prefix import task_prefix


def task(**changes):
    names = {
        "dag_id": "a.dag",
        "run_id": "manual__2026-01-01T00:00:00+00:00",
        "task_id": "group.make",
        "map_index": -1,
    }
    return SimpleNamespace(**names | changes)


def test_it_tells_dag_run_task_and_index():
    prefix = task_prefix(task(run_id="a/b#c", map_index=3))
    assert prefix == "airflow:a.dag/a%2Fb%23c/group.make/3"
    assert [unquote(part) for part in prefix.removeprefix("airflow:").split("/")] == [
        "a.dag", "a/b#c", "group.make", "3",
    ]  # fmt: skip


def test_no_two_submits_have_the_same():
    assert len({join("mine", new_random_part()) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("reply_ref", "random_part"), [("a#b#c", "c"), ("#c", "c"), ("abc", ""), ("", ""), (None, "")]
)
def test_the_random_part_is_what_follows_the_last_sign(reply_ref, random_part):
    assert random_part_of(reply_ref) == random_part


def test_it_is_never_longer_than_the_api_takes():
    long = task(dag_id="d" * 250, run_id="+" * 250, task_id="t" * 250)
    assert len(join(task_prefix(long), new_random_part())) <= 1024
    assert task_prefix(long) != task_prefix(task(dag_id="e" * 250, run_id="+" * 250, task_id="t" * 250))
