"""Run many tasks at once in this process: their workers are threads, and one event loop is the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, TaskDeferred

WORKERS = 16


class TaskTry:
    """The part of Airflow that the tasks of the demo use."""

    dag_id, run_id, task_id = "thirty_prompts", "demo", "make"

    def __init__(self, map_index: int, try_number: int, max_tries: int) -> None:
        self.map_index = map_index
        self.try_number = try_number
        self.max_tries = max_tries
        self.start_date = datetime.now(UTC)
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep an XCom."""
        self.xcoms[key] = value

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        """Say that this try is the running one, as there is never another."""
        return {self.run_id: {f"{self.task_id}_{self.map_index}": "running"}}


class TaskState(dict[str, Any]):
    """A state store of a task, which outlives its tries."""

    def set(self, key: str, value: Any, **_: Any) -> None:
        """Store a value."""
        self[key] = value

    def delete(self, key: str) -> None:
        """Forget a value."""
        self.pop(key, None)


def run_all(tasks: Iterable[BaseOperator], *, retries: int, retry_delay: float) -> list[Any]:
    """
    Run tasks side by side, and return what each returned; None for those that failed.

    :param retry_delay: seconds before a task is tried again.
    """

    async def main() -> list[Any]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WORKERS))
        runs = (_run(task, index, retries, retry_delay) for index, task in enumerate(tasks))
        return await asyncio.gather(*runs)

    return asyncio.run(main())


async def _run(task: BaseOperator, map_index: int, retries: int, retry_delay: float) -> Any:
    state = TaskState()
    for try_number in range(1, retries + 2):
        context = {"ti": TaskTry(map_index, try_number, retries), "task_state_store": state}
        try:
            return await _run_once(task, context)
        except AirflowFailException:
            return None
        except Exception:  # noqa: BLE001 - whatever it is, Airflow tries the task again
            await asyncio.sleep(retry_delay)
    return None


async def _run_once(task: BaseOperator, context: Any) -> Any:
    step: Callable[[], Any] = lambda: task.execute(context)  # noqa: E731
    while True:
        try:
            return await asyncio.to_thread(step)
        except TaskDeferred as deferral:
            async with aclosing(deferral.trigger.run()) as events:
                event = await anext(events)
            resume = getattr(task, deferral.method_name)
            step = lambda: resume(context, event=event.payload)  # noqa: E731, B023
