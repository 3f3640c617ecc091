"""Signatures of URLs stand in no log, whatever is logged, and whatever is wrong with the URL."""

import logging

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.operators.pixverse import PixverseDownloadOperator
from tests.helpers.dag_runs import new_dag, run


@pytest.fixture
def all_logged(logged, caplog):
    """Return all that has been logged, the libraries' debug lines too."""
    caplog.set_level(logging.DEBUG, "urllib3")
    return logged


def download(result, folder):
    with new_dag("signed") as dag:
        PixverseDownloadOperator(
            task_id="store", result=result, output_path=f"file://{folder}", retries=1, retry_delay=0
        )
    return run(dag)


def test_a_task_that_downloads_logs_no_signature(link, tmp_path, all_logged):
    assert download({"url": link}, tmp_path).state("store") == "success"
    text = all_logged()
    assert "/media/1.mp4?***" in text
    assert "signature=" not in all_logged(on_workers=True)


def test_a_task_of_the_users_own_logs_its_requests_as_they_are(sim, link, tmp_path, all_logged):
    with new_dag("mixed") as dag:
        store = PixverseDownloadOperator(
            task_id="store", result={"url": link}, output_path=f"file://{tmp_path}"
        )

        @task
        def mine():
            import requests

            requests.get(f"{sim.url}/mine?page=2", timeout=10)

        store >> mine()
    assert run(dag).state("mine") == "success"
    assert "/mine?page=2" in all_logged()


@pytest.mark.parametrize("wrong", ["not finished", "under another key", "a string"])
def test_an_error_that_shows_a_result_shows_no_signature(sim, tmp_path, all_logged, wrong):
    url = f"{sim.url}/a.mp4?signature=5f3e9c71"
    result = {"not finished": {"url": url, "state": "GENERATING"}, "under another key": {"URL": url}}.get(
        wrong, url
    )
    assert download(f"{{{{ {result!r} }}}}", tmp_path).end("store") == ("failed", 1)
    text = all_logged()
    assert "result " in text
    assert "5f3e9c71" not in all_logged(on_workers=True)
