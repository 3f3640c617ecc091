"""Airflow in the browser, with simulator, connection and examples; `make airflow` runs this."""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from packaging.version import Version

from airflow_pixverse.simulator import Simulator
from tools.real_airflow import Airflow, AirflowError
from tools.real_airflow.ports import LOOPBACK, free_port

EXAMPLE_DAGS = Path(__file__).resolve().parent.parent / "example_dags"
LIFE = Path(__file__).resolve().parent / "dags"
AIRFLOW_PORT, SIMULATOR_PORT = 8080, 8900
ACCOUNTS = {"studio@example.com": 3, "team-2@example.com": 3}
LOOK = "  This page shows who has the slots and who waits; it is under Browse > PixVerse capacity.\n"
TABLE = "prompt,first_frame_path\na fox in the snow,\nan owl at night,\na cat on a roof,\n"
PASSWORD = "admin"  # noqa: S105 - Airflow 2 wants one, and nobody but this machine can reach it
SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    # An example that is edited is read again soon; the first is Airflow 3's, the second Airflow 2's.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "5",
}


def main() -> int:
    """Run until Ctrl-C, and return the exit code."""
    logging.basicConfig(format="%(message)s ...", stream=sys.stdout)
    logging.getLogger("tools").setLevel(logging.INFO)
    for one in (signal.SIGINT, signal.SIGTERM):  # a shell lets what it starts in the background ignore SIGINT
        signal.signal(one, signal.default_int_handler)
    port, simulator_port = port_or_another(AIRFLOW_PORT), port_or_another(SIMULATOR_PORT)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="airflow-pixverse-", ignore_cleanup_errors=True) as home,
            busy_simulator(simulator_port) as sim,
        ):
            say(f"Airflow {version('apache-airflow')} starts; this usually takes half a minute.")
            say(f"What its processes print goes to {home}/components.")
            connections = {"pixverse_default": connection_to(sim)}
            env = SETTINGS | {"AIRFLOW_VAR_PIXVERSE_FOLDER": f"file://{new_table(Path(home))}"}
            airflow = Airflow(Path(home), [EXAMPLE_DAGS, LIFE], env, connections=connections, ui_port=port)
            with airflow:
                say_where_to_look(port, create_user(airflow), sim)
                airflow.watch()
    except KeyboardInterrupt:
        say("Stopped.")
        return 0
    except AirflowError as error:
        print(error, file=sys.stderr)
        return 1


def busy_simulator(port: int = 0, *, arrivals: float = 4) -> Simulator:
    """
    Return a simulator that other users use, too.

    :param arrivals: how many jobs a minute they submit: 4 take half of the slots, and nobody waits for long.
    """
    return Simulator(ACCOUNTS, arrivals=arrivals, job_seconds=(20, 60), busy=30, credits=15_000, port=port)


def connection_to(sim: Simulator) -> dict[str, str]:
    """Return the connection with its port apart: the Test button of Airflow 3.3 refuses an empty one."""
    return {**sim.connection, "schema": "http", "host": sim.host, "port": str(sim.port)}


def new_table(home: Path) -> Path:
    """Write a table of prompts, and return the folder that it is in."""
    folder = home / "table"
    folder.mkdir()
    (folder / "prompts.csv").write_text(TABLE)
    say(f"pixverse_table makes the prompts of {folder}/prompts.csv, and keeps the videos beside it.")
    return folder


def port_or_another(preferred: int) -> int:
    """Return a port that is free, and say so if it is not the preferred one."""
    port = free_port(preferred)
    if port != preferred:
        say(f"Port {preferred} is in use; {port} is used instead.")
    return port


def create_user(airflow: Airflow) -> str:
    """Create the user that Airflow 2 wants, and return how to log in; Airflow 3 wants none here."""
    if airflow.major >= 3:
        return ""
    airflow.command(
        *("users", "create", "--role", "Admin", "--username", "admin", "--password", PASSWORD),
        *("--firstname", "Ada", "--lastname", "Admin", "--email", "admin@example.com"),
    )
    return f" (log in as admin with the password {PASSWORD})"


def say_where_to_look(port: int, login: str, sim: Simulator) -> None:
    """Print what there is to click on."""
    # Not asked of the package, which would import Airflow here, and with it its logging.
    has_page = Version(version("apache-airflow")) >= Version("3.1.1")
    page = "/plugin/pixverse" if has_page else ""
    post = "curl -X POST -H 'Content-Type: application/json'"
    say(
        f"\nAirflow       http://{LOOPBACK}:{port}{page}{login}\n"
        f"{LOOK if page else ''}"
        f"  The DAGs are called pixverse_*: trigger one, and look at the logs and XComs of its tasks.\n"
        f"  The connection pixverse_default, under Admin > Connections, leads to the simulator.\n"
        f"Simulator     {sim.url}\n"
        f"  take every slot:     {post} {sim.url}/simulator/fill\n"
        f"  free all of them:    curl -X DELETE {sim.url}/simulator/jobs\n"
        f"  answer 429 thrice:   {post} {sim.url}/simulator/faults "
        """-d '{"fault": "rate_limit", "retry_after": 5, "times": 3}'\n"""
        "\nCtrl-C ends both."
    )


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
