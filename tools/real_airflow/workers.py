"""The processes that run a task, and what can happen to them."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Self

import psutil


@dataclass(frozen=True)
class Worker:
    """
    The processes of one try of a task, with the local executor: the one with the task's code, and its parent.

    :param task: the process that executes the operator.
    :param supervisor: the process that sends heartbeats for it, and reports how it ended.
    """

    task: psutil.Process
    supervisor: psutil.Process

    @classmethod
    def of_task(cls, pid: int) -> Self:
        """
        Return the worker whose task is this process.

        :raises psutil.NoSuchProcess: it has ended.
        """
        task = psutil.Process(pid)
        supervisor = task.parent()
        if supervisor is None:
            raise psutil.NoSuchProcess(pid)
        return cls(task, supervisor)

    @property
    def is_alive(self) -> bool:
        """Whether the task still executes, or is paused; not whether somebody has asked how it ended."""
        try:
            return self.task.is_running() and self.task.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def kill_task(self) -> None:
        """Kill the task, as the kernel does when memory is short. Its supervisor tells Airflow at once."""
        self.task.send_signal(signal.SIGKILL)

    def pause_task(self) -> None:
        """Stop the task; its supervisor goes on, so that Airflow takes the try to be running."""
        self.task.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """Kill both, as when a machine fails. Airflow notices when heartbeats stay away for long enough."""
        self._send(signal.SIGKILL)

    def pause(self) -> None:
        """Stop both: Airflow gives the try up when heartbeats stay away for long enough."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let both go on after a pause."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        # The supervisor first, so that it reports nothing.
        for process in (self.supervisor, self.task):
            process.send_signal(number)
