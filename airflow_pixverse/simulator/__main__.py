"""The command line: ``python -m airflow_pixverse.simulator --help``."""

import argparse
import json
import logging
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import Any

from airflow_pixverse import __version__
from airflow_pixverse.simulator.errors import FieldError, integer
from airflow_pixverse.simulator.schema import NEWEST, SCHEMAS
from airflow_pixverse.simulator.server import Simulator
from airflow_pixverse.simulator.service import JOB_CREDITS

ENDS = {signal.SIGINT, signal.SIGTERM}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_pixverse.simulator",
        description="The useapi.net PixVerse API on this machine, to develop and test against. "
        "It is not for production: any user of this machine may control it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="a loopback address")
    add("--port", type=int, default=8900, help="0 picks a free one")
    add("--accounts", type=int, default=2, help="how many accounts it has: a-1@example.com, ...")
    add("--max-jobs", type=int, default=3, help="how many jobs each account executes at once, 1 to 8")
    add("--token", default="user:1-demo", help="the API token that requests must carry")
    add("--schema", choices=SCHEMAS, default=NEWEST, help="the revision of the API")
    seconds: dict[str, Any] = {"type": float, "metavar": "SECONDS"}
    add("--busy", **seconds, default=0, help="every slot is taken for this long after the start")
    add("--arrivals", type=float, default=6, metavar="N", help="how many jobs a minute other users submit")
    add(
        "--job-seconds",
        type=float,
        nargs=2,
        default=(20.0, 60.0),
        metavar=("MIN", "MAX"),
        help="how long a submitted job runs",
    )
    share: dict[str, Any] = {"type": float, "default": 0, "metavar": "SHARE"}
    add("--failed", **share, help="the share of submitted jobs that fail")
    add("--moderated", **share, help="the share of submitted jobs that are moderated once they have run")
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    add(
        "--credits",
        **number,
        help=f"the credits of each account, {JOB_CREDITS} a job; without it, any number",
    )
    add("--result-delay", **seconds, default=0, help="how long after its end a job's result can be seen")
    add(
        "--results-with-reply-ref",
        action="store_true",
        help="results have the replyRef that was submitted; whether those of the service do is not known",
    )
    add("--media-bytes", **number, help="the size of a result's file, up to 4 GB; without it, the smallest")
    add("--link-seconds", **seconds, help="how long the URL of a result can be used; without it, forever")
    add("--seed", type=int, default=0, help="the same seed gives the same jobs and fates")
    add("--version", action="version", version=__version__)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM, and return the exit code."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    try:
        count = integer("accounts", options.pop("accounts"), 1, 1000)
        max_jobs = integer("max_jobs", options.pop("max_jobs"), 1, 8)
        simulator = Simulator({f"a-{n}@example.com": max_jobs for n in range(1, count + 1)}, **options)
    except FieldError as exc:
        parser.error(f"argument --{exc.field.replace('_', '-')}: {exc.problem}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # Blocked in all threads, the signals stay pending until sigwait takes them.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        simulator.start()
    except OSError as exc:
        print(f"Cannot listen on {simulator.url}: {os.strerror(exc.errno or 0)}", file=sys.stderr)
        return 1
    connection = shlex.quote(json.dumps(simulator.connection))
    print(f"PixVerse simulator {__version__}, schema {simulator.schema}, on {simulator.url}")
    print(f"export AIRFLOW_CONN_PIXVERSE_DEFAULT={connection}", flush=True)
    signal.sigwait(ENDS)
    simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
