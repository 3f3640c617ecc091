"""Thirty prompts on three slots, once as everybody writes it, and once with PixverseSubmitOperator."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
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
    What became of the prompts.

    :param refusals: submits that were refused (429).
    :param lost: prompts that no video was made of.
    :param twice: jobs that were paid for although their prompt had one already.
    :param seconds: how long it took.
    """

    refusals: int
    lost: int
    twice: int
    seconds: float


def as_everybody_writes_it() -> Bill:
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

    return _bill(lambda number, prompt: Submit(prompt=prompt, task_id=f"submit_{number}"))


def with_this_package() -> Bill:
    """Use PixverseSubmitOperator."""
    from airflow_pixverse.capabilities import HAS_TASK_STATE_STORE
    from airflow_pixverse.operators.submit import PixverseSubmitOperator

    def operator(number: int, prompt: str) -> PixverseSubmitOperator:
        return PixverseSubmitOperator(
            task_id=f"make_{number}",
            payload={"prompt": prompt},
            deferrable=True,
            poke_interval=0.3,
            # Before Airflow 3.3 marks need a database with these tasks in it.
            durable=HAS_TASK_STATE_STORE,
        )

    return _bill(operator)


def _bill(make_task: Any) -> Bill:
    from scripts.many_tasks import run_all

    accounts = {"studio@example.com": 3}
    with Simulator(accounts, job_seconds=JOB_SECONDS, arrivals=OTHERS_A_MINUTE, seed=7) as sim:
        os.environ["AIRFLOW_CONN_PIXVERSE_DEFAULT"] = json.dumps(sim.connection)
        sim.inject(faults.lost_answer(), times=None, method="POST", share=LOST_ANSWERS)
        started = time.monotonic()
        results = run_all(
            [make_task(number, prompt) for number, prompt in enumerate(PROMPTS)],
            retries=RETRIES,
            retry_delay=RETRY_DELAY,
        )
        seconds = time.monotonic() - started
        paid = Counter(job.payload["prompt"] for job in sim.submitted())
        refusals = sum(request.method == "POST" and request.status == 429 for request in sim.requests)
    return Bill(
        refusals=refusals,
        lost=sum(result is None for result in results),
        twice=sum(paid.values()) - len(paid),
        seconds=seconds,
    )
