"""A real Airflow: scheduler, triggerer and what else its version needs, as processes of this machine."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.e2e import command_line, sessions
from tests.e2e.metadata import DagRun, Metadata, Outcome
from tests.e2e.settings import environment

# Not resolved: the interpreter of a virtual environment is a link to one outside.
BIN = Path(sys.executable).parent
POLL_INTERVAL = 0.2
TAIL_LINES, TAIL_COLUMNS = 40, 240


class Component(NamedTuple):
    """A process that makes up an Airflow, and as what it reports to the database, if it does."""

    command: list[str]
    job_type: str | None = None


AIRFLOW_2 = {
    "scheduler": Component(["scheduler", "--skip-serve-logs"], "SchedulerJob"),
    "triggerer": Component(["triggerer", "--skip-serve-logs"], "TriggererJob"),
}
AIRFLOW_3 = {
    **AIRFLOW_2,
    "dag-processor": Component(["dag-processor"], "DagProcessorJob"),
    "api-server": Component(["api-server", "--apps", "execution"]),
}
MIGRATION, COMMAND_LINE = "migration", "command-line"


class AirflowError(Exception):
    """Airflow did not do what it should; the message ends with what its components printed last."""


class Airflow:
    """
    The Airflow installed beside the running interpreter; a context manager that runs while it is open.

    :param home: an empty directory for DAGs, database and logs; it is left as it is at the end.
    :param dag_folders: folders of DAG files, copied to ``home``. Every DAG is active at once.
    :param env: more environment for the processes: ``AIRFLOW_CONN_...``, ``AIRFLOW__SECTION__OPTION``, ...
    """

    def __init__(self, home: Path, dag_folders: Iterable[Path], env: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.major = int(version("apache-airflow").split(".")[0])
        self.components = AIRFLOW_3 if self.major >= 3 else AIRFLOW_2
        self.metadata = Metadata(home / "airflow.db")
        self._dag_folders = list(dag_folders)
        self._api_port = _free_port()
        self._env = {**environment(home, self.major, self._api_port), **(env or {})}
        self._env["PATH"] = f"{BIN}:{self._env['PATH']}"
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._started_at: dict[str, datetime] = {}
        self._guard: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """
        Set up the database, start every component, and wait until all is ready to run DAGs.

        :raises AirflowError: it does not get ready in time, or a DAG file cannot be imported.
        """
        for folder in self._dag_folders:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(folder, self.home / "dags" / folder.name, ignore=ignored)
        (self.home / "components").mkdir()
        with closing(sqlite3.connect(self.metadata.path)) as database:
            # As Airflow 3 does itself: those who read and the one who writes do not wait for each other.
            database.execute("pragma journal_mode = wal")
        self._guard = subprocess.Popen(
            [sys.executable, sessions.__file__],
            stdin=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._start_process(MIGRATION, [str(BIN / "airflow"), "db", "migrate"])
        if self._processes.pop(MIGRATION).wait(timeout=120):
            raise AirflowError(f"airflow db migrate failed{self.report(MIGRATION)}")
        for name in self.components:
            self.start_component(name)
        self._start_process(COMMAND_LINE, [sys.executable, command_line.__file__])
        self.wait_until_healthy()

    def stop(self) -> None:
        """End every process, by force if need be."""
        if self._guard is None or self._guard.stdin is None:
            return
        self._guard.stdin.close()
        for process in self._processes.values():
            process.wait()
        self._guard.wait()

    def start_component(self, name: str) -> None:
        """Start a component, one that was killed for example. See also :meth:`wait_until_healthy`."""
        self._started_at[name] = datetime.now(UTC)
        self._start_process(name, [str(BIN / "airflow"), *self.components[name].command])

    def kill(self, name: str) -> None:
        """Kill a component and all processes it started, without a chance to tell anybody."""
        process = self._processes.pop(name)
        sessions.kill({process.pid})
        process.wait()

    @property
    def pids(self) -> list[int]:
        """The process ids of the components that run."""
        return [self._processes[name].pid for name in self.components if name in self._processes]

    def wait_until_healthy(self, timeout: float = 90) -> None:
        """Wait until every component has reported since it was started, and every DAG file is known."""
        files = {
            path
            for path in (self.home / "dags").rglob("*.py")
            # An example that says so has no DAG on Airflow 2.
            if self.major >= 3 or "AIRFLOW_V_3_0_PLUS" not in path.read_text()
        }

        def healthy() -> bool:
            if errors := self.metadata.import_errors():
                raise AirflowError("\n".join(errors))
            return all(map(self._has_reported, self.components)) and files <= self.metadata.dag_files()

        self.wait_until(healthy, timeout, lambda: "all components have started, and all DAGs are known")

    def command(self, *arguments: str) -> None:
        """
        Run ``airflow`` with these arguments.

        :raises AirflowError: it failed.
        """
        process = self._processes[COMMAND_LINE]
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(arguments) + "\n")
        if process.stdout.readline() != "true\n":
            raise AirflowError(f"airflow {' '.join(arguments)} failed{self.report(COMMAND_LINE)}")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> DagRun:
        """Start a run of a DAG."""
        run = DagRun(dag_id, f"e2e-{uuid.uuid4()}")
        self.command("dags", "trigger", dag_id, "--run-id", run.run_id, "--conf", json.dumps(conf or {}))
        return run

    def outcome(self, run: DagRun) -> Outcome:
        """The task instances of a DAG run as they are now."""
        return self.metadata.outcome(run)

    def wait_for(self, run: DagRun, timeout: float = 60) -> Outcome:
        """Wait until a DAG run is over, and return its task instances."""
        self.wait_until(
            lambda: self.metadata.run_state(run) in {"success", "failed"},
            timeout,
            lambda: f"{run} is over: {self.outcome(run)}",
        )
        return self.outcome(run)

    def wait_until_deferred(self, run: DagRun, task_id: str, timeout: float = 60) -> None:
        """Wait until all instances of a task wait in the triggerer."""
        self.wait_until(
            lambda: {instance.state for instance in self.outcome(run).mapped(task_id)} == {"deferred"},
            timeout,
            lambda: f"{task_id} of {run} is deferred: {self.outcome(run)}",
        )

    def wait_until(self, condition: Callable[[], bool], timeout: float, what: Callable[[], str]) -> None:
        """
        Wait until a condition holds, ``what`` in words.

        :raises AirflowError: it does not within ``timeout`` seconds, or a component ended.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise AirflowError(f"{name} ended with {process.returncode}{self.report(name)}")
            if time.monotonic() > deadline:
                raise AirflowError(f"Not so within {timeout} s: {what()}{self.report()}")
            time.sleep(POLL_INTERVAL)

    def worker_runs(self, run: DagRun) -> Counter[tuple[str, int]]:
        """How many times a worker process ran each task instance, by task id and map index."""
        return self.metadata.worker_runs(run)

    def task_log(self, run: DagRun, task_id: str, map_index: int = -1) -> str:
        """Everything a task instance logged in all its tries, in workers and triggerers."""
        return self._task_logs(run, task_id, map_index, "attempt=*.log*")

    def trigger_log(self, run: DagRun, task_id: str, map_index: int = -1) -> str:
        """Everything the triggers of a task instance logged; empty if none ran."""
        return self._task_logs(run, task_id, map_index, "attempt=*.log.trigger.*")

    def files_containing(self, text: str) -> list[Path]:
        """All files of this Airflow, database and logs included, that contain a text."""
        return [
            file
            for file in self.home.rglob("*")
            if file.is_file() and not file.is_symlink() and text.encode() in file.read_bytes()
        ]

    def report(self, name: str = "*") -> str:
        """The end of what each process printed, or only one."""
        parts = []
        for log in sorted((self.home / "components").glob(f"{name}.log")):
            tail = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
            parts.append("\n".join([f"\n----- {log} -----", *(line[:TAIL_COLUMNS] for line in tail)]))
        return "\n".join(parts)

    def _start_process(self, name: str, command: list[str]) -> None:
        with (self.home / "components" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.home,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name == COMMAND_LINE else log,
                stderr=log,
                text=True,
                bufsize=1,
                start_new_session=True,
            )
        self._processes[name] = process
        assert self._guard
        assert self._guard.stdin
        self._guard.stdin.write(f"{process.pid}\n")

    def _has_reported(self, name: str) -> bool:
        job_type = self.components[name].job_type
        if job_type is None:
            return _answers(f"http://127.0.0.1:{self._api_port}/execution/health")
        began = self.metadata.last_job_start(job_type)
        return began is not None and began >= self._started_at[name]

    def _task_logs(self, run: DagRun, task_id: str, map_index: int, files: str) -> str:
        folder = self.home / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}" / f"task_id={task_id}"
        if map_index >= 0:
            folder /= f"map_index={map_index}"
        return "".join(file.read_text(errors="replace") for file in sorted(folder.glob(files)))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5):
            return True
    except OSError:
        return False
