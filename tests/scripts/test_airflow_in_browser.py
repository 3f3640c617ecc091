"""`make airflow`."""

import re
import socket
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path

from scripts.airflow_in_browser import port_or_another
from tests.scripts.command import Command
from tools.real_airflow import PATIENCE


def test_airflow_answers_and_has_the_connection_in_its_database_until_ctrl_c():
    with Command("scripts.airflow_in_browser") as command:
        command.read_until("Ctrl-C ends both.")
        url = re.search(r"Airflow +(http://\S+)", command.output).group(1)
        simulator = re.search(r"Simulator +(http://\S+)", command.output).group(1)
        home = Path(re.search(r"goes to (\S+)/components", command.output).group(1))

        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            assert "<title>" in answer.read().decode()
        with closing(sqlite3.connect(home / "airflow.db")) as database:
            connections = database.execute("select conn_id, conn_type, host, port from connection").fetchall()
        assert len(connections) == 1
        assert connections[0][:2] == ("pixverse_default", "pixverse")
        assert "http://{}:{}".format(*connections[0][2:]) == simulator

        command.ctrl_c()
        assert command.wait() == 0
    assert command.output.endswith("Stopping ...\nStopped.\n")
    assert not home.exists()


def test_a_port_that_is_in_use_is_replaced_by_another_one_and_it_says_so(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        another = port_or_another(port)
    assert another != port
    assert capsys.readouterr().out == f"Port {port} is in use; {another} is used instead.\n"


def test_a_port_that_is_free_is_used(capsys):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert port_or_another(port) == port
    assert capsys.readouterr().out == ""
