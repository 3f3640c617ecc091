"""Processes in sessions of their own, none of which outlives the program that started them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tools.real_airflow import sessions
from tools.real_airflow.errors import AirflowError

TAIL_LINES, TAIL_COLUMNS = 40, 240


class Processes:
    """
    Processes by name. What each prints goes to a file.

    A guard ends them when this program ends, even when it is killed. Each process leads a session of its
    own, so that Ctrl-C reaches this program only, and that whatever it started can be found and ended.

    :param directory: the directory in which the processes run.
    :param logs: an existing directory for the files that take what they print.
    :param env: their environment.
    :param user: the user and the group that they run as, if root starts them; without one, as this program.
    """

    def __init__(
        self, directory: Path, logs: Path, env: Mapping[str, str], *, user: str | None = None
    ) -> None:
        self._directory = directory
        self._logs = logs
        self._env = env
        self._user = user
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._guard = subprocess.Popen(
            # -P: the modules beside the script are not to hide others of the same name.
            [sys.executable, "-P", sessions.__file__],
            stdin=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        piped: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """
        Start a process.

        :param name: how to call it from now on.
        :param piped: whether to read what it prints from :meth:`pipes` instead of finding it in its file.
        :param env: more environment for this one.
        """
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self._directory,
                env={**self._env, **(env or {})},
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if piped else log,
                stderr=log,
                text=True,
                bufsize=1,
                start_new_session=True,
            )
        self._running[name] = process
        assert self._guard.stdin
        self._guard.stdin.write(f"{process.pid}\n")

    def run(self, name: str, command: Sequence[str], timeout: float) -> None:
        """
        Run a process to its end.

        :raises AirflowError: it failed.
        """
        self.start(name, command)
        if self._running[name].wait(timeout):
            raise AirflowError(f"{name} failed{self.report(name)}")
        del self._running[name]

    def pipes(self, name: str) -> tuple[IO[str], IO[str]]:
        """Return standard input and output of a process that was started with ``piped``."""
        process = self._running[name]
        assert process.stdin
        assert process.stdout
        return process.stdin, process.stdout

    def pid(self, name: str) -> int | None:
        """Return the id of a process, or None if it does not run."""
        return self._running[name].pid if name in self._running else None

    def ports(self, name: str) -> set[int]:
        """Return the ports that a process has connections from, and all that it started."""
        found = sessions.members({self._running[name].pid})
        return {one.laddr.port for process in found for one in process.net_connections("tcp") if one.laddr}

    def kill(self, *names: str) -> None:
        """Kill processes and all that they started, all at once, without a chance to tell anybody."""
        killed = [self._running.pop(name) for name in names]
        sessions.kill({process.pid for process in killed})
        for process in killed:
            process.wait()

    def pause(self, name: str) -> None:
        """Stop a process and all that it started, as if their machine had no time for them."""
        sessions.signal_all({self._running[name].pid}, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a process that was paused go on, and all that it started."""
        sessions.signal_all({self._running[name].pid}, signal.SIGCONT)

    def check(self) -> None:
        """
        Check that all processes still run.

        :raises AirflowError: one has ended.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                raise AirflowError(f"{name} ended with exit code {process.returncode}{self.report(name)}")

    def stop(self) -> None:
        """End every process, by force if it takes too long."""
        assert self._guard.stdin
        self._guard.stdin.close()
        for process in self._running.values():
            process.wait()
        self._guard.wait()

    def report(self, name: str = "*") -> str:
        """Return the end of what each process printed, or of what one did."""
        parts = []
        for log in sorted(self._logs.glob(f"{name}.log")):
            tail = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
            parts.append("\n".join([f"\n----- {log} -----", *(line[:TAIL_COLUMNS] for line in tail)]))
        return "\n".join(parts)
