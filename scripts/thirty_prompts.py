"""Thirty prompts on three slots: the usual way, with PixverseSubmitOperator, and as one task."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import requests

from airflow_pixverse.simulator import Simulator, faults

PROMPTS = [f"a fox in the snow, take {number}" for number in range(1, 31)]
JOB_SECONDS = (0.7, 1.0)
OTHERS_A_MINUTE = 20.0
LOST_ANSWERS = 0.1
RETRIES, RETRY_DELAY = 5, 2.0
NOT_FINISHED = 404


class Bill(NamedTuple):
    """
    The outcome of the prompts.

    :param refusals: submits that were refused (429).
    :param lost: prompts that no video was made of.
    :param twice: jobs that were paid for although their prompt had one already.
    :param seconds: how long it took.
    """

    refusals: int
    lost: int
    twice: int
    seconds: float


def the_usual_way() -> Bill:
    """Submit, fail on any error, and let Airflow retry."""
    from airflow.providers.common.compat.sdk import BaseHook, BaseOperator

    class Submit(BaseOperator):
        def __init__(self, prompt: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.prompt = prompt

        def execute(self, context: Any) -> str:  # noqa: ARG002
            conn = BaseHook.get_connection("pixverse_default")
            base, headers = f"{conn.host}/v2/pixverse", {"Authorization": f"Bearer {conn.password}"}
            answer = requests.post(
                f"{base}/videos/create", json={"prompt": self.prompt}, headers=headers, timeout=10
            )
            answer.raise_for_status()
            while True:
                time.sleep(0.3)
                video = requests.get(
                    f"{base}/videos/{answer.json()['video_id']}", headers=headers, timeout=10
                )
                if video.status_code != NOT_FINISHED:
                    video.raise_for_status()
                    return str(video.json()["url"])

    return _bill(_one_each(lambda number, prompt: Submit(prompt=prompt, task_id=f"submit_{number}")), _made)


def with_this_package() -> Bill:
    """Use PixverseSubmitOperator."""
    from airflow_pixverse.capabilities import HAS_TASK_STATE_STORE
    from airflow_pixverse.operators.pixverse import PixverseSubmitOperator

    def operator(number: int, prompt: str) -> PixverseSubmitOperator:
        return PixverseSubmitOperator(
            task_id=f"make_{number}",
            payload={"prompt": prompt},
            deferrable=True,
            poke_interval=0.3,
            # Before Airflow 3.3 marks need a database with these tasks in it.
            durable=HAS_TASK_STATE_STORE,
        )

    return _bill(_one_each(operator), _made)


def as_one_task(folder: str) -> Bill:
    """
    Use PixverseBatchOperator.

    :param folder: the folder for the videos.
    """
    from airflow_pixverse.operators.pixverse import PixverseBatchOperator

    def tasks() -> list[Any]:
        rows = [{"prompt": prompt} for prompt in PROMPTS]
        payload = {"prompt": "{prompt}"}
        return [
            PixverseBatchOperator(
                task_id="make", rows=rows, payload=payload, folder=folder, poke_interval=0.3
            )
        ]

    return _bill(tasks, lambda results: results[0]["counts"]["stored"] if results[0] else 0)


def _one_each(make_task: Callable[[int, str], Any]) -> Callable[[], list[Any]]:
    """Return a function that makes a task for each prompt."""
    return lambda: [make_task(number, prompt) for number, prompt in enumerate(PROMPTS)]


def _made(results: list[Any]) -> int:
    """Return how many tasks have a result."""
    return sum(result is not None for result in results)


def _bill(make_tasks: Callable[[], list[Any]], made: Callable[[list[Any]], int]) -> Bill:
    from airflow.providers.common.compat.sdk import DAG

    from scripts.many_tasks import run_all

    accounts = {"studio@example.com": 3}
    with Simulator(accounts, job_seconds=JOB_SECONDS, arrivals=OTHERS_A_MINUTE, seed=7) as sim:
        os.environ["AIRFLOW_CONN_PIXVERSE_DEFAULT"] = json.dumps(sim.connection)
        sim.inject(faults.lost_answer(), times=None, method="POST", share=LOST_ANSWERS)
        with DAG("thirty_prompts", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
            tasks = make_tasks()
        started = time.monotonic()
        results = run_all(tasks, retries=RETRIES, retry_delay=RETRY_DELAY)
        seconds = time.monotonic() - started
        paid = Counter(job.payload["prompt"] for job in sim.submitted())
        refusals = sum(request.method == "POST" and request.status == 429 for request in sim.requests)
    return Bill(
        refusals=refusals,
        lost=len(PROMPTS) - made(results),
        twice=sum(paid.values()) - len(paid),
        seconds=seconds,
    )
