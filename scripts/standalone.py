"""The whole of Airflow to click through: ``airflow standalone`` with simulator, connection and examples."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from airflow_pixverse.simulator import Simulator

EXAMPLE_DAGS = Path(__file__).resolve().parent.parent / "example_dags"
HEALTH_PATHS = ("/api/v2/monitor/health", "/health")  # Airflow 3, Airflow 2


def main() -> int:
    """Run until Ctrl-C, and return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    accounts = {"studio@example.com": 3, "team-2@example.com": 3}
    with (
        tempfile.TemporaryDirectory(prefix="airflow-pixverse-", ignore_cleanup_errors=True) as home,
        Simulator(accounts, arrivals=12, job_seconds=(20, 60), busy=30) as sim,
        Path(home, "standalone.log").open("w+b") as log,
    ):
        port = free_port()
        print(f"Starting Airflow; it takes half a minute, and logs to {log.name}", flush=True)
        # A session of its own: its children outlive a plain kill.
        airflow = subprocess.Popen(
            [Path(sys.executable).with_name("airflow"), "standalone"],
            env=environment(home, port, sim),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until_healthy(airflow, port)
            tell_where_to_look(home, port, sim)
            return airflow.wait()
        except KeyboardInterrupt:
            return 0
        except RuntimeError as error:
            log.seek(0)
            print(f"{log.read().decode(errors='replace')[-5000:]}\n{error}", file=sys.stderr)
            return 1
        finally:
            end_group(airflow)


def environment(home: str, port: int, sim: Simulator) -> dict[str, str]:
    """Return what Airflow is to find in its environment, and nothing of an Airflow that is here already."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    # Without it, every process of Airflow would compile all that it imports.
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    settings: Mapping[str, object] = {
        "CORE__DAGS_FOLDER": EXAMPLE_DAGS,
        "CORE__LOAD_EXAMPLES": False,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__TEST_CONNECTION": "Enabled",
        "API__HOST": "127.0.0.1",
        "API__PORT": port,
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        # Airflow 3.3 takes so long to note that a task has deferred, and fails one that resumes earlier
        # (apache/airflow#72716).
        "WORKERS__MIN_HEARTBEAT_INTERVAL": 1,
        "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "WEBSERVER__WEB_SERVER_PORT": port,
        "LOGGING__TRIGGER_LOG_SERVER_PORT": free_port(),
        "LOGGING__WORKER_LOG_SERVER_PORT": free_port(),
    }
    return {
        **inherited,
        **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
        "AIRFLOW_HOME": home,
        "AIRFLOW_CONN_PIXVERSE_DEFAULT": json.dumps(sim.connection),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def wait_until_healthy(airflow: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the UI answers and scheduler and triggerer say that they are well."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if airflow.poll() is not None:
            raise RuntimeError(f"Airflow ended with exit code {airflow.returncode}.")
        if any(is_healthy(f"http://127.0.0.1:{port}{path}") for path in HEALTH_PATHS):
            return
        time.sleep(1)
    raise RuntimeError("Airflow is not healthy after five minutes.")


def is_healthy(url: str) -> bool:
    """Tell whether the health page says that scheduler and triggerer are well."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - http, to this machine
            health = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return all(health.get(part, {}).get("status") == "healthy" for part in ("scheduler", "triggerer"))


def tell_where_to_look(home: str, port: int, sim: Simulator) -> None:
    """Print what there is to click on."""
    passwords = Path(home, "standalone_admin_password.txt")
    login = f" (admin, {passwords.read_text().strip()})" if passwords.exists() else ""
    print(
        f"\nAirflow       http://127.0.0.1:{port}{login}\n"
        f"  the DAGs are pixverse_*: trigger one, and look at its tasks' logs and XComs\n"
        f"Simulator     {sim.url}\n"
        f"  take every slot:   curl -X POST {sim.url}/simulator/fill\n"
        f"  free all of them:  curl -X DELETE {sim.url}/simulator/jobs\n"
        f"  be in trouble:     curl -X POST {sim.url}/simulator/faults "
        """-d '{"fault": "rate_limit", "retry_after": 5, "times": 3}'\n"""
        "\nCtrl-C ends both.",
        flush=True,
    )


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    for ending, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 1)):
        deadline = time.monotonic() + patience
        try:
            os.killpg(process.pid, ending)
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
