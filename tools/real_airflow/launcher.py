"""A real Airflow: scheduler, triggerer and what else its version needs, as processes of this machine."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
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
from typing import Any, NoReturn, Self

from tools.real_airflow import command_line
from tools.real_airflow.components import components
from tools.real_airflow.errors import AirflowError
from tools.real_airflow.metadata import DagRun, Metadata, Outcome
from tools.real_airflow.ports import LOOPBACK, free_port
from tools.real_airflow.processes import Processes
from tools.real_airflow.settings import environment

# Not resolved: the interpreter of a virtual environment is a link to one outside.
BIN = Path(sys.executable).parent
POLL_INTERVAL = 0.2
MIGRATION, COMMAND_LINE = "migration", "command-line"

log = logging.getLogger(__name__)


class Airflow:
    """
    The Airflow installed beside the running interpreter; a context manager that runs while it is open.

    :param home: an empty directory for database, logs and links to the DAGs; it is left as it is at the end.
    :param dag_folders: folders of DAG files. Every DAG is active at once.
    :param env: more environment for the processes, ``AIRFLOW__SECTION__OPTION`` for example.
    :param connections: the connections that are stored in the database, by id, as Airflow's own JSON.
    :param ui_port: the port of the UI; without one, there is no UI.
    """

    def __init__(
        self,
        home: Path,
        dag_folders: Iterable[Path],
        env: Mapping[str, str] | None = None,
        *,
        connections: Mapping[str, Mapping[str, str]] | None = None,
        ui_port: int | None = None,
    ) -> None:
        self.home = home
        self.major = int(version("apache-airflow").split(".")[0])
        #: What is started, by name. A test may add to it: a second triggerer, for example.
        self.components = components(self.major, ui=ui_port is not None)
        self.metadata = Metadata(home / "airflow.db")
        self.web_port = ui_port or free_port()
        self._dag_folders = list(dag_folders)
        self._connections = connections or {}
        self._env = {**environment(home, self.major, self.web_port), **(env or {})}
        self._env["PATH"] = f"{BIN}{os.pathsep}{self._env['PATH']}"
        self._started_at: dict[str, datetime] = {}
        self._running: Processes | None = None

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
        for name in ("dags", "components"):
            (self.home / name).mkdir()
        for folder in self._dag_folders:
            (self.home / "dags" / folder.name).symlink_to(folder.resolve(), target_is_directory=True)
        self._running = Processes(self.home, self.home / "components", self._env)
        log.info("Setting up the database")
        with closing(sqlite3.connect(self.metadata.path)) as database:
            # As Airflow 3 does itself: those who read and the one who writes do not wait for each other.
            database.execute("pragma journal_mode = wal")
        self._running.run(MIGRATION, [str(BIN / "airflow"), "db", "migrate"], timeout=300)
        # -P: the modules beside the script are not to hide others of the same name.
        self._running.start(COMMAND_LINE, [sys.executable, "-P", command_line.__file__], piped=True)
        for conn_id, connection in self._connections.items():
            self.command("connections", "add", conn_id, "--conn-json", json.dumps(connection))
        log.info("Starting %s", ", ".join(self.components))
        for name in self.components:
            self.start_component(name)
        self.wait_until_healthy()

    def stop(self) -> None:
        """End every process, by force if it takes too long."""
        if self._running is not None:
            log.info("Stopping")
            self._running.stop()

    def start_component(self, name: str) -> None:
        """Start a component, one that was killed for example. See also :meth:`wait_until_healthy`."""
        self._started_at[name] = datetime.now(UTC)
        self._processes.start(name, [str(BIN / "airflow"), *self.components[name].command])

    def kill(self, name: str) -> None:
        """Kill a component and all processes it started, without a chance to tell anybody."""
        self._processes.kill(name)

    @property
    def pids(self) -> list[int]:
        """The process ids of the components that run."""
        found = map(self._processes.pid, self.components)
        return [pid for pid in found if pid is not None]

    def wait_until_healthy(self, timeout: float = 180) -> None:
        """Wait until every component has reported since it was started, and every DAG file is known."""
        files = set(self._files_with_dags())

        def healthy() -> bool:
            if errors := self.metadata.import_errors():
                raise AirflowError("\n".join(errors))
            known = {path.resolve() for path in self.metadata.dag_files()}
            return all(map(self._has_started, self.components)) and files <= known

        self.wait_until(healthy, timeout, lambda: "all components have started, and all DAGs are known")

    def command(self, *arguments: str) -> None:
        """
        Run ``airflow`` with these arguments.

        :raises AirflowError: it failed.
        """
        requests, answers = self._processes.pipes(COMMAND_LINE)
        requests.write(json.dumps(arguments) + "\n")
        if answers.readline() != "true\n":
            raise AirflowError(f"airflow {' '.join(arguments[:2])} failed{self.report(COMMAND_LINE)}")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> DagRun:
        """Start a run of a DAG."""
        run = DagRun(dag_id, f"triggered-{uuid.uuid4()}")
        self.command("dags", "trigger", dag_id, "--run-id", run.run_id, "--conf", json.dumps(conf or {}))
        return run

    def outcome(self, run: DagRun) -> Outcome:
        """Return the task instances of a DAG run as they are now."""
        return self.metadata.outcome(run)

    def wait_for(self, run: DagRun, timeout: float = 120) -> Outcome:
        """Wait until a DAG run is over, and return its task instances."""
        self.wait_until(
            lambda: self.metadata.run_state(run) in {"success", "failed"},
            timeout,
            lambda: f"{run} is over: {self.outcome(run)}",
        )
        return self.outcome(run)

    def wait_until(self, condition: Callable[[], bool], timeout: float, what: Callable[[], str]) -> None:
        """
        Wait until a condition holds.

        :param timeout: after how many seconds to give up.
        :param what: returns the condition in words.
        :raises AirflowError: it did not hold in time, or a component ended.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            self._processes.check()
            if time.monotonic() > deadline:
                raise AirflowError(f"Not so within {timeout} s: {what()}{self.report()}")
            time.sleep(POLL_INTERVAL)

    def watch(self) -> NoReturn:
        """
        Wait until a component ends, which none is to do by itself.

        :raises AirflowError: always, in the end.
        """
        while True:
            self._processes.check()
            time.sleep(1)

    def worker_runs(self, run: DagRun) -> Counter[tuple[str, int]]:
        """Return how many times a worker process ran each task instance, by task id and map index."""
        return self.metadata.worker_runs(run)

    def task_log(self, run: DagRun, task_id: str) -> str:
        """Return everything a task that is not mapped logged, in workers and triggerers."""
        return self._task_logs(run, task_id, "attempt=*.log*")

    def trigger_log(self, run: DagRun, task_id: str) -> str:
        """Return everything the triggers of a task that is not mapped logged; empty if none ran."""
        return self._task_logs(run, task_id, "attempt=*.log.trigger.*")

    def wait_until_logged(self, run: DagRun, task_id: str, text: str, *, times: int = 1) -> None:
        """Wait until a task that is not mapped has logged a text, so many times."""
        self.wait_until(
            lambda: self.task_log(run, task_id).count(text) >= times,
            120,
            lambda: f"{text!r} is in this log:\n{self.task_log(run, task_id)}",
        )

    def files_containing(self, text: str) -> list[Path]:
        """Return all files of this Airflow, database and logs included, that contain a text."""
        return [
            file
            for file in self.home.rglob("*")
            if file.is_file() and not file.is_symlink() and text.encode() in file.read_bytes()
        ]

    def report(self, name: str = "*") -> str:
        """Return the end of what each process printed, or of what one did."""
        return self._processes.report(name)

    def _task_logs(self, run: DagRun, task_id: str, files: str) -> str:
        folder = self.home / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}" / f"task_id={task_id}"
        return "".join(file.read_text(errors="replace") for file in sorted(folder.glob(files)))

    @property
    def _processes(self) -> Processes:
        if self._running is None:
            raise AirflowError("Airflow has not been started.")
        return self._running

    def _files_with_dags(self) -> Iterable[Path]:
        for folder in self._dag_folders:
            for path in folder.resolve().rglob("*.py"):
                # Airflow 2 has no asset watchers, and so no DAG in such a file.
                if self.major >= 3 or "AssetWatcher" not in path.read_text():
                    yield path

    def _has_started(self, name: str) -> bool:
        component = self.components[name]
        if component.health_path is not None:
            return _answers(f"http://{LOOPBACK}:{self.web_port}{component.health_path}")
        assert component.job_type is not None
        began = self.metadata.last_job_start(component.job_type)
        return began is not None and began >= self._started_at[name]


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5):
            return True
    except OSError:
        return False
