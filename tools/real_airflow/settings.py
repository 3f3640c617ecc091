"""The settings of Airflow: everything in one directory, nothing but loopback, quick to react."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from typing import Any

from tools.real_airflow.ports import LOOPBACK, free_port

# After how many seconds without a heartbeat a task has failed.
HEARTBEAT_TIMEOUT = 20


def environment(home: Path, major: int, web_port: int, database: str) -> dict[str, str]:
    """
    Return the environment of an Airflow's processes, with nothing of an Airflow that is set up already.

    :param home: the directory that holds DAGs, database and logs.
    :param major: the major version of Airflow.
    :param web_port: the port of Airflow 3's API server, and of Airflow 2's web server.
    :param database: the URL of the database.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        # Importing Airflow takes several times as long without byte code.
        if not name.startswith(("AIRFLOW_", "PIXVERSE_")) and name != "PYTHONDONTWRITEBYTECODE"
    }
    settings = _both_versions(home, database)
    settings |= _airflow_3(web_port) if major >= 3 else _airflow_2(web_port, database)
    configured = {
        f"AIRFLOW__{section.upper()}__{option.upper()}": str(value)
        for (section, option), value in settings.items()
    }
    return {
        **inherited,
        **configured,
        "AIRFLOW_HOME": str(home),
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
        "SCARF_ANALYTICS": "false",
        "NO_PROXY": "*",
        "no_proxy": "*",
    }


def _both_versions(home: Path, database: str) -> dict[tuple[str, str], Any]:
    return {
        ("core", "dags_folder"): home / "dags",
        ("core", "plugins_folder"): home / "plugins",
        ("core", "executor"): "LocalExecutor",
        # One at a time for each scheduler, as Airflow 3.3 fails a task that resumes before its scheduler has
        # noted that the worker which deferred it is done (apache/airflow#72716).
        # See docs/contributing/real-airflow.md.
        ("core", "parallelism"): 1,
        ("core", "load_examples"): False,
        ("core", "dags_are_paused_at_creation"): False,
        ("core", "hostname_callable"): "socket.gethostname",
        ("core", "fernet_key"): base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        ("core", "min_serialized_dag_fetch_interval"): 1,
        ("database", "sql_alchemy_conn"): database,
        ("logging", "colored_console_log"): False,
        ("logging", "trigger_log_server_port"): free_port(),
        ("logging", "worker_log_server_port"): free_port(),
        ("scheduler", "job_heartbeat_sec"): 1,
        ("scheduler", "scheduler_heartbeat_sec"): 1,
        ("scheduler", "scheduler_idle_sleep_time"): 0.2,
        ("scheduler", "trigger_timeout_check_interval"): 1,
        # Tasks of a killed scheduler are run again after the second of these.
        ("scheduler", "orphaned_tasks_check_interval"): 2,
        ("scheduler", "scheduler_health_check_threshold"): 10,
        # A trigger whose triggerer died moves on to another one after the second of these.
        ("triggerer", "job_heartbeat_sec"): 1,
        ("triggerer", "triggerer_health_check_threshold"): 5,
        ("usage_data_collection", "enabled"): False,
    }


def _airflow_2(web_port: int, database: str) -> dict[tuple[str, str], Any]:
    return {
        ("database", "load_default_connections"): False,
        ("scheduler", "min_file_process_interval"): 300,
        ("scheduler", "parsing_processes"): 1,
        ("scheduler", "scheduler_zombie_task_threshold"): HEARTBEAT_TIMEOUT,
        # Each detection fails the task once more, the try after it too, unless the DAG processor has
        # handled the one before it meanwhile (apache/airflow#51969).
        ("scheduler", "zombie_detection_interval"): 15,
        # SQLite locks no rows: scheduled by scheduler and worker at once, a task is in its second try.
        ("scheduler", "schedule_after_task_execution"): not database.startswith("sqlite:"),
        ("webserver", "base_url"): f"http://{LOOPBACK}:{web_port}",
        ("webserver", "secret_key"): secrets.token_hex(32),
        ("webserver", "web_server_host"): LOOPBACK,
        ("webserver", "web_server_port"): web_port,
        ("webserver", "workers"): 1,
    }


def _airflow_3(web_port: int) -> dict[tuple[str, str], Any]:
    return {
        ("api", "host"): LOOPBACK,
        ("api", "port"): web_port,
        ("api", "base_url"): f"http://{LOOPBACK}:{web_port}",
        ("api", "secret_key"): secrets.token_hex(32),
        ("api_auth", "jwt_secret"): secrets.token_hex(32),
        ("core", "execution_api_server_url"): f"http://{LOOPBACK}:{web_port}/execution/",
        ("core", "simple_auth_manager_all_admins"): True,
        ("dag_processor", "bundle_refresh_check_interval"): 1,
        ("dag_processor", "min_file_process_interval"): 300,
        ("dag_processor", "parsing_processes"): 1,
        ("scheduler", "task_instance_heartbeat_timeout"): HEARTBEAT_TIMEOUT,
        ("scheduler", "task_instance_heartbeat_timeout_detection_interval"): 1,
        # As long as it may take a worker to notice that its task has ended.
        ("workers", "min_heartbeat_interval"): 1,
    }
