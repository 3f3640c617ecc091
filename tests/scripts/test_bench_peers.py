"""`make bench-peers`, without the peers inside Airflow, which take long."""

import subprocess
import sys

from tests.scripts.command import ROOT

COLUMNS = ("peer", "weather", "made", "lost", "paid twice", "refusals")
SMALL = ("--prompts", "4", "--slots", "2", "--seconds", "1")


def rows(*arguments):
    """The rows of the table that it prints, by the weather."""
    command = [sys.executable, "-m", "benchmarks.peers", *SMALL, *arguments]
    printed = subprocess.check_output(command, cwd=ROOT, text=True)
    assert "4 prompts of 1 s on 2 slots, where 2 s is the ideal" in printed
    lines = [line for line in printed.splitlines() if line.startswith("| a ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {line[1]: dict(zip(COLUMNS, line, strict=False)) for line in cells}


def test_a_bare_loop_makes_all_and_pays_again_for_what_ran_when_it_was_killed():
    table = rows("--peers", "bare")
    assert {name: row["made"] for name, row in table.items()} == {"quiet": "4", "rough": "4"}
    assert {row["lost"] for row in table.values()} == {"0"}
    assert table["quiet"]["paid twice"] == "0"
    assert int(table["quiet"]["refusals"]) > 0
    assert int(table["rough"]["paid twice"]) > 0
