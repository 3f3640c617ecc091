"""``replyRef``: the name of a job at the service."""

from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from airflow_pixverse.api.reply_ref import join, new_random_part, prefix_of, random_part_of
from airflow_pixverse.submission.request import TaskName, is_of_a_task, task_name_of, task_prefix


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


@pytest.mark.parametrize(
    "name",
    [
        TaskName("a.dag", "manual__2026-01-01T00:00:00+00:00", "group.make", -1),
        TaskName("a/b", "c#d", "e%2Ff", 0),
        TaskName("ü", "<img onerror=x>", " ", 1023),
    ],
)
def test_the_names_of_the_task_can_be_told_from_it(name):
    reply_ref = join(task_prefix(name), new_random_part())
    assert task_name_of(reply_ref) == name
    assert is_of_a_task(reply_ref)


def test_of_names_that_are_too_long_only_that_it_is_a_task_can_be_told():
    reply_ref = join(task_prefix(task(run_id="+" * 1000)), new_random_part())
    assert task_name_of(reply_ref) is None
    assert is_of_a_task(reply_ref)


@pytest.mark.parametrize(
    "reply_ref",
    [
        None,
        "",
        "mine",
        "airflow:#x",
        "airflow:a/b/c/1",  # without a random part
        "airflow:a/b/c#x",
        "airflow:a/b/c/d#x",
        "airflow:a/b/c/-2#x",
        "airflow:a/b/c/1/2#x",
        "airflow:a//c/1#x",
        "Airflow:a/b/c/1#x",
        "airflow:" + "0" * 63 + "#x",
    ],
)
def test_what_others_chose_is_of_no_task(reply_ref):
    assert task_name_of(reply_ref) is None
    assert not is_of_a_task(reply_ref)


@pytest.mark.parametrize(("reply_ref", "prefix"), [("a#b#c", "a#b"), ("#c", ""), ("abc", ""), (None, "")])
def test_the_prefix_is_what_comes_before_the_last_sign(reply_ref, prefix):
    assert prefix_of(reply_ref) == prefix
