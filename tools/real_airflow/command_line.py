"""
Airflow's command line as a server: importing Airflow takes seconds, too long to do so for every command.

It knows one command more than Airflow, :data:`CLEAR`. Each line of standard input is a command line, as a
JSON list; each line of standard output says whether it succeeded, ``true`` or ``false``. What Airflow prints
goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence

CLEAR = "clear-task-instances"


def run(parser: argparse.ArgumentParser, command_line: Sequence[str]) -> bool:
    """Run one command line, and return whether it succeeded."""
    try:
        if command_line[0] == CLEAR:
            from tools.real_airflow.clearing import clear

            clear(command_line[1:])
        else:
            arguments = parser.parse_args(command_line)
            arguments.func(arguments)
    except (Exception, SystemExit):  # noqa: BLE001 - the next command may do better
        traceback.print_exc()
        return False
    return True


def serve() -> None:
    """Run the command lines of standard input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from airflow.cli.cli_parser import get_parser

    parser = get_parser()
    for line in sys.stdin:
        answers.write(json.dumps(run(parser, json.loads(line))) + "\n")


if __name__ == "__main__":
    serve()
