"""A real Airflow: scheduler, triggerer and what else its version needs, as processes of this machine."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import psutil
from packaging.version import Version

from tools.real_airflow import clearing, command_line, sqlite
from tools.real_airflow.components import Component, components, log_ports
from tools.real_airflow.errors import AirflowError
from tools.real_airflow.metadata import DagRun, Metadata, Outcome
from tools.real_airflow.ports import LOOPBACK, free_port
from tools.real_airflow.processes import Processes
from tools.real_airflow.settings import environment
from tools.real_airflow.workers import Worker

if TYPE_CHECKING:
    from tools.real_airflow.postgresql import PostgreSQL

# Not resolved: the interpreter of a virtual environment is a link to one outside.
BIN = Path(sys.executable).parent
POLL_INTERVAL = 0.4
# After how many seconds to give up what is waited for: several times what a slow and busy machine needs.
PATIENCE = 600.0
# A file with one of these has no DAG on an earlier Airflow.
NEWER = {"AssetWatcher": Version("3.0"), "ApprovalOperator": Version("3.1")}
MIGRATION, COMMAND_LINE = "migration", "command-line"
SQLITE = "airflow.db"

log = logging.getLogger(__name__)


class Airflow:
    """
    The Airflow installed beside the running interpreter; a context manager that runs while it is open.

    :param home: an empty directory for database, logs and links to the DAGs; it is left as it is at the end.
    :param dag_folders: folders of DAG files. Every DAG is active at once.
    :param env: more environment for the processes, ``AIRFLOW__SECTION__OPTION`` for example.
    :param connections: the connections that are stored in the database, by id, as Airflow's own JSON.
    :param database: the server whose database to use, which runs while this does; without one, SQLite.
    :param ui_port: the port of the UI; without one, there is no UI.
    """

    def __init__(
        self,
        home: Path,
        dag_folders: Iterable[Path],
        env: Mapping[str, str] | None = None,
        *,
        connections: Mapping[str, Mapping[str, str]] | None = None,
        database: PostgreSQL | None = None,
        ui_port: int | None = None,
    ) -> None:
        self.home = home
        self.version = Version(version("apache-airflow"))
        self.major = self.version.major
        self._kinds = components(self.major, ui=ui_port is not None)
        #: What runs, or ran until it was killed, by name.
        self.components: dict[str, Component] = dict(self._kinds)
        self._database = database
        url = database.url if database else sqlite.sqlite_url(home / SQLITE)
        self.metadata = Metadata(url)
        self.web_port = ui_port or free_port()
        self._dag_folders = list(dag_folders)
        self._connections = connections or {}
        self._env = {**environment(home, self.major, self.web_port, url), **(env or {})}
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
        if self._database is None:
            sqlite.create(self.home / SQLITE)
        self._running.run(MIGRATION, [str(BIN / "airflow"), "db", "migrate"], timeout=PATIENCE)
        # -P: the modules beside the script are not to hide others of the same name.
        self._running.start(COMMAND_LINE, [sys.executable, "-P", command_line.__file__], piped=True)
        for conn_id, connection in self._connections.items():
            self.command("connections", "add", conn_id, "--conn-json", json.dumps(connection))
        self.start_all()

    def stop(self) -> None:
        """End every process, by force if it takes too long."""
        if self._running is not None:
            log.info("Stopping")
            self._running.stop()

    def start_all(self) -> None:
        """
        Start every component that does not run, and wait until all is ready to run DAGs.

        :raises AirflowError: see :meth:`start`.
        """
        missing = [name for name in self.components if self._processes.pid(name) is None]
        log.info("Starting %s", ", ".join(missing))
        for name in missing:
            self._start(name)
        self.wait_until_healthy()

    def kill_all(self) -> None:
        """Kill every component, and the workers with them. :meth:`start_all` starts them again."""
        self._processes.kill(*(name for name in self.components if self._processes.pid(name) is not None))

    def start_component(self, kind: str, *, name: str | None = None) -> None:
        """
        Start a component: one that was killed, or one more of its kind. See also :meth:`wait_until_healthy`.

        :param kind: ``triggerer``, ``scheduler`` (only PostgreSQL takes a second one), ...
        :param name: how to call it from now on; its kind, unless it is one more.
        """
        name = name or kind
        self.components[name] = self._kinds[kind]
        self._start(name)

    def kill(self, name: str) -> None:
        """Kill a component and all processes it started, without a chance to tell anybody."""
        self._processes.kill(name)

    def remove(self, name: str) -> None:
        """Kill a component that is one more of its kind, for good."""
        self.kill(name)
        del self.components[name]

    def pause(self, name: str) -> None:
        """
        Stop a component and all processes it started, as on a machine that is out of memory or asleep.

        Not in the middle of a transaction, which PostgreSQL would end in the meantime, and so the component.
        """
        self._processes.pause(name)
        while self._database and self.metadata.ports_in_transaction() & self._processes.ports(name):
            self.resume(name)
            time.sleep(POLL_INTERVAL)
            self._processes.pause(name)

    def resume(self, name: str) -> None:
        """Let a component that was paused go on."""
        self._processes.resume(name)

    def worker(self, run: DagRun, task_id: str, map_index: int = -1) -> Worker:
        """
        Wait until a task instance runs on a worker, and return that worker.

        :param map_index: which of a mapped task.
        :raises AirflowError: it did not run in time.
        """
        found: list[Worker] = []

        def runs() -> bool:
            pid = self.metadata.task_pid(run, task_id, map_index)
            if pid is not None:
                try:
                    found.append(Worker.of_task(pid))
                except psutil.NoSuchProcess:
                    return False  # it has ended meanwhile
            return bool(found)

        self.wait_until(runs, lambda: f"{task_id} {map_index} runs: {self.outcome(run)}")
        return found[0]

    @property
    def pids(self) -> list[int]:
        """The process ids of the components that run."""
        found = map(self._processes.pid, self.components)
        return [pid for pid in found if pid is not None]

    def wait_until_healthy(self) -> None:
        """Wait until every component has reported since it was started, and every DAG file is known."""
        files = set(self._files_with_dags())

        def healthy() -> bool:
            if errors := self.metadata.import_errors():
                raise AirflowError("\n".join(errors))
            known = {path.resolve() for path in self.metadata.dag_files()}
            return all(map(self._has_started, self.components)) and files <= known

        self.wait_until(healthy, lambda: "all components have started, and all DAGs are known")

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

    def clear(self, run: DagRun, task_id: str, *map_indexes: int, keep_task_state: bool = False) -> None:
        """
        Clear a task as a user does in the UI: it runs anew, and the DAG run goes on.

        :param map_indexes: which instances of a mapped task; without any, all of them.
        :param keep_task_state: whether to tick what keeps the task's state, from Airflow 3.4 on. Earlier
            ones always keep it.
        :raises AirflowError: there is no such task instance.
        """
        keep = [clearing.KEEP_TASK_STATE] if keep_task_state else []
        self.command(command_line.CLEAR, *run, task_id, *map(str, map_indexes), *keep)

    def outcome(self, run: DagRun) -> Outcome:
        """Return the task instances of a DAG run as they are now."""
        return self.metadata.outcome(run)

    def wait_for(self, run: DagRun, timeout: float = PATIENCE) -> Outcome:
        """Wait until a DAG run is over, and return its task instances."""
        self.wait_until(
            lambda: self.metadata.run_state(run) in {"success", "failed"},
            lambda: f"{run} is over: {self.outcome(run)}",
            timeout,
        )
        return self.outcome(run)

    def wait_until_tasks(self, run: DagRun, condition: Callable[[Outcome], bool]) -> Outcome:
        """
        Wait until a condition holds of the task instances of a DAG run, and return them.

        :raises AirflowError: it did not hold in time, or a component ended.
        """
        seen = Outcome()

        def holds() -> bool:
            seen[:] = self.outcome(run)
            return condition(seen)

        self.wait_until(holds, lambda: f"the condition of the test holds: {seen}")
        return seen

    def wait_until(
        self, condition: Callable[[], bool], what: Callable[[], str], timeout: float = PATIENCE
    ) -> None:
        """
        Wait until a condition holds.

        :param what: returns the condition in words.
        :param timeout: after how many seconds to give up.
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

    def task_log(self, run: DagRun, task_id: str, map_index: int = -1) -> str:
        """Return everything a task instance logged, in workers and triggerers."""
        folder = "" if map_index < 0 else f"map_index={map_index}/"
        return self._task_logs(run, task_id, f"{folder}attempt=*.log*")

    def trigger_log(self, run: DagRun, task_id: str) -> str:
        """Return everything the triggers of a task that is not mapped logged; empty if none ran."""
        return self._task_logs(run, task_id, "attempt=*.log.trigger.*")

    def wait_until_workers_are_done(self, run: DagRun, number: int) -> None:
        """
        Wait until the scheduler has noted that so many workers of a DAG run have done their part.

        Airflow 3.3 can fail a task that resumes before that (apache/airflow#72716).
        """
        log = self.home / "components" / "scheduler.log"

        def noted() -> int:
            lines = log.read_text(errors="replace").splitlines()
            return sum(
                "Received executor event with state success" in line and run.run_id in line for line in lines
            )

        self.wait_until(lambda: noted() >= number, lambda: f"{number} workers are done, not {noted()}")

    def wait_until_logged(self, run: DagRun, task_id: str, text: str, *, times: int = 1) -> None:
        """Wait until a task that is not mapped has logged a text, so many times."""
        self.wait_until(
            lambda: self.task_log(run, task_id).count(text) >= times,
            lambda: f"{text!r} is in this log:\n{self.task_log(run, task_id)}",
        )

    def files_containing(self, text: str) -> list[Path]:
        """Return all files of this Airflow, database and logs included, that contain a text."""
        folders = [self.home, *([self._database.directory] if self._database else [])]
        return [file for folder in folders for file in folder.rglob("*") if _contains(file, text.encode())]

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

    def _start(self, name: str) -> None:
        component = self.components[name]
        self._started_at[name] = datetime.now(UTC)
        # The ports are for one of each kind.
        ports = {} if component is self._kinds.get(name) else log_ports()
        self._processes.start(name, [str(BIN / "airflow"), *component.command], env=ports)

    def _files_with_dags(self) -> Iterable[Path]:
        for folder in self._dag_folders:
            for path in folder.resolve().rglob("*.py"):
                text = path.read_text()
                if all(self.version >= since for name, since in NEWER.items() if name in text):
                    yield path

    def _has_started(self, name: str) -> bool:
        component = self.components[name]
        if component.health_path is not None:
            return _answers(f"http://{LOOPBACK}:{self.web_port}{component.health_path}")
        assert component.job_type is not None
        # Two of a kind cannot be told apart in the database, but counted.
        since = self._started_at[name]
        expected = sum(
            self._processes.pid(other) is not None and self._started_at[other] >= since
            for other, its in self.components.items()
            if its.job_type == component.job_type
        )
        started = sum(began >= since for began in self.metadata.job_starts(component.job_type))
        return started >= max(1, expected)


def _contains(file: Path, text: bytes) -> bool:
    try:
        return file.is_file() and not file.is_symlink() and text in file.read_bytes()
    except FileNotFoundError:
        return False  # PostgreSQL has removed it meanwhile


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5):
            return True
    except OSError:
        return False
