"""The processes that make up an Airflow."""

from __future__ import annotations

from typing import NamedTuple

from tools.real_airflow.ports import free_port


class Component(NamedTuple):
    """
    A process of Airflow, and how one can see that it has started.

    :param command: the arguments of ``airflow``.
    :param job_type: the kind of job as which it reports to the database, if it does.
    :param health_path: the path under which it answers once it has started, if it is a web server.
    """

    command: list[str]
    job_type: str | None = None
    health_path: str | None = None


def components(major: int, *, ui: bool) -> dict[str, Component]:
    """
    Return the components by name, in the order in which they are started.

    :param major: the major version of Airflow.
    :param ui: whether to serve the UI, and the logs of running tasks that it shows.
    """
    serve_logs = [] if ui else ["--skip-serve-logs"]
    both = {
        "scheduler": Component(["scheduler", *serve_logs], "SchedulerJob"),
        "triggerer": Component(["triggerer", *serve_logs], "TriggererJob"),
    }
    if major >= 3:
        apps = [] if ui else ["--apps", "execution"]  # the execution API is what tasks talk to
        return {
            **both,
            "dag-processor": Component(["dag-processor"], "DagProcessorJob"),
            "api-server": Component(["api-server", *apps], health_path="/execution/health"),
        }
    return {**both, "webserver": Component(["webserver"], health_path="/health")} if ui else both


def log_ports() -> dict[str, str]:
    """Return the settings with which a component serves its logs where no other one does."""
    return {f"AIRFLOW__LOGGING__{kind}_LOG_SERVER_PORT": str(free_port()) for kind in ("TRIGGER", "WORKER")}
