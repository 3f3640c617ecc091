"""``python -m airflow_pixverse.simulator``, as a person starts it."""

import json
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
import requests

from airflow_pixverse.simulator.__main__ import main

COMMAND = [sys.executable, "-m", "airflow_pixverse.simulator"]


@contextmanager
def running(*options, port="0"):
    with subprocess.Popen(
        [*COMMAND, "--port", port, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def connection(process):
    """Read what it prints, as a shell would."""
    greeting, export = process.stdout.readline(), process.stdout.readline()
    word, assignment = shlex.split(export)
    name, _, value = assignment.partition("=")
    assert (word, name) == ("export", "AIRFLOW_CONN_PIXVERSE_DEFAULT")
    fields = json.loads(value)
    assert fields["host"] in greeting
    return fields


def get(fields, path, method="GET", **kwargs):
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {fields['password']}"
        return session.request(method, f"{fields['host']}/v2/pixverse/{path}", timeout=60, **kwargs)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_what_it_prints_until_a_signal_ends_it(end):
    options = ("--accounts", "2", "--max-jobs", "3", "--arrivals", "0", "--token", "user:1-it's")
    with running(*options) as process:
        fields = connection(process)
        assert (fields["conn_type"], fields["password"]) == ("pixverse", "user:1-it's")
        accounts = get(fields, "scheduler/available").json()["available"]
        assert {a["email"]: a["available"] for a in accounts} == {"a-1@example.com": 3, "a-2@example.com": 3}
        process.send_signal(end)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert err.endswith(" GET /v2/pixverse/scheduler/available 200\n")
    assert "it's" not in err
    assert "Traceback" not in err


def test_the_options_reach_the_service():
    with running(
        "--busy", "3600", "--schema", "2024-12-06", "--seed", "3", "--job-seconds", "1", "2"
    ) as process:
        fields = connection(process)
        executing = get(fields, "scheduler/available").json()["executing"]
        assert ["video_id" in job for job in executing] == [True] * 6
        assert get(fields, "videos/create", "POST").status_code == 429


def test_the_options_decide_on_results_and_their_files():
    options = ("--accounts", "1", "--arrivals", "0", "--job-seconds", "0", "0", "--credits", "30")
    fates = ("--failed", "1", "--moderated", "0", "--result-delay", "0", "--results-with-reply-ref")
    with running(*options, *fates) as process:
        fields = connection(process)
        job = get(fields, "videos/create", "POST", json={"replyRef": "r"}).json()
        assert job["cost_credits"] == 20
        result = get(fields, f"videos/{job['video_id']}").json()
        assert (result["video_status_name"], result["replyRef"]) == ("FAILED", "r")
        assert get(fields, "videos/create", "POST").status_code == 412
    with running(*options, "--media-bytes", "5000", "--link-seconds", "0") as process:
        fields = connection(process)
        job = get(fields, "videos/create", "POST").json()["video_id"]
        assert requests.get(get(fields, f"videos/{job}").json()["url"], timeout=60).status_code == 403
        assert requests.get(f"{fields['host']}/simulator/media/{job}", timeout=60).json()["size"] == 5000


def test_help_says_that_it_is_not_for_production(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "It is not for production" in " ".join(capsys.readouterr().out.split())


def test_a_taken_port_is_one_line_and_exit_code_1(sim):
    with running(port=str(sim.port)) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err == f"Cannot listen on http://127.0.0.1:{sim.port}: Address already in use\n"
