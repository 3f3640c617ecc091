"""
Five ways to make prompts, each as its users write it. The configuration of a run says how many, and where.

``poke_interval``, retries and the time-outs of requests are alike. The pool has as many slots as the service.
"""

import os
import time
from datetime import datetime, timedelta
from typing import Any

import requests
from airflow.providers.common.compat.sdk import DAG, BaseHook, PokeReturnValue, task, task_group
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor

from airflow_pixverse.operators.pixverse import PixverseBatchOperator, PixverseSubmitOperator

INTERVAL, REQUEST_TIMEOUT = 5, 30
NOT_FINISHED = 404
POOL = "peers"
CONN, HTTP_CONN = "{{ dag_run.conf['conn'] }}", "{{ dag_run.conf['http_conn'] }}"
JSON = {"Content-Type": "application/json"}


def start_slowly(_context: Any) -> None:
    """Take as long as a worker that has a pod to start first."""
    time.sleep(float(os.environ["PIXVERSE_BENCH_WORKER_START"]))


OF_ALL_TASKS: dict[str, Any] = {
    "pre_execute": start_slowly,
    "retries": 5,
    "retry_delay": timedelta(seconds=INTERVAL),
    "retry_exponential_backoff": True,
}


def new_dag(dag_id: str) -> DAG:
    """Return a DAG whose tasks are tried again."""
    return DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1), default_args=OF_ALL_TASKS)


@task
def prompts(dag_run: Any = None) -> list[str]:
    """Return the prompts."""
    return [f"prompt {number}" for number in range(dag_run.conf["prompts"])]


# A clear of a success submits again, or it would need a record, which the triggerer cannot write.
ENDS: dict[str, dict[str, Any]] = {
    "mapped": {},
    "ending": {"end_from_trigger": True, "on_clear": "submit"},
}
for dag_id, end in ENDS.items():
    with new_dag(dag_id):

        @task
        def payloads(dag_run: Any = None) -> list[dict[str, str]]:
            """Return what to submit."""
            return [{"prompt": f"prompt {number}"} for number in range(dag_run.conf["prompts"])]

        # The account is not mapped, so that the waits begin in the triggerer.
        PixverseSubmitOperator.partial(
            task_id="make",
            pixverse_conn_id=CONN,
            emails="{{ dag_run.conf['email'] }}",
            start_from_trigger=True,
            poke_interval=INTERVAL,
            **end,
        ).expand(payload=payloads())

with new_dag("batch") as batch:

    @task
    def rows(dag_run: Any = None) -> list[dict[str, str]]:
        """Return the table."""
        return [{"prompt": f"prompt {number}"} for number in range(dag_run.conf["prompts"])]

    PixverseBatchOperator(
        task_id="make",
        pixverse_conn_id=CONN,
        rows=rows(),  # type: ignore[arg-type]
        payload={"prompt": "{prompt}"},
        folder="{{ dag_run.conf['folder'] }}",
        poke_interval=INTERVAL,
    )

with new_dag("blocking"):

    @task(pool=POOL)
    def block(prompt: str, dag_run: Any = None) -> str:
        """Submit, and ask for the result until it is there."""
        conn = BaseHook.get_connection(dag_run.conf["conn"])
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {conn.password}"
            videos = f"{conn.host}/v2/pixverse/videos"
            answer = session.post(f"{videos}/create", json={"prompt": prompt}, timeout=REQUEST_TIMEOUT)
            answer.raise_for_status()
            while True:
                time.sleep(INTERVAL)
                result = session.get(f"{videos}/{answer.json()['video_id']}", timeout=REQUEST_TIMEOUT)
                if result.status_code != NOT_FINISHED:
                    result.raise_for_status()
                    return str(result.json()["url"])

    block.expand(prompt=prompts())

with new_dag("http"):

    @task_group
    def submit_and_wait(prompt: str) -> None:
        """Submit in one task, and wait in another, which holds neither worker nor pool between pokes."""
        submit = HttpOperator(
            task_id="submit",
            http_conn_id=HTTP_CONN,
            endpoint="v2/pixverse/videos/create",
            data=prompt,
            headers=JSON,
            response_filter=lambda response: response.json()["video_id"],
            pool=POOL,
        )
        wait = HttpSensor(
            task_id="wait",
            http_conn_id=HTTP_CONN,
            endpoint="v2/pixverse/videos/"
            "{{ ti.xcom_pull('submit_and_wait.submit', map_indexes=ti.map_index) }}",
            response_check=lambda response: PokeReturnValue(is_done=True, xcom_value=response.json()["url"]),
            mode="reschedule",
            poke_interval=INTERVAL,
            pool=POOL,
        )
        submit >> wait

    @task
    def bodies(dag_run: Any = None) -> list[str]:
        """Return the bodies of the requests."""
        return [f'{{"prompt": "prompt {number}"}}' for number in range(dag_run.conf["prompts"])]

    submit_and_wait.expand(prompt=bodies())
