"""``python -m airflow_pixverse.batch``: show what a folder remembers, and let it forget rows."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections import Counter
from collections.abc import Sequence

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.batch.placing import deciding
from airflow_pixverse.journal.folder import FolderJournal
from airflow_pixverse.journal.records import SubmitRecord
from airflow_pixverse.storage.paths import object_path, parse_storage_uri

Records = dict[str, list[SubmitRecord]]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command, and return its exit code.

    :param arguments: those of the command line; None for the process's own.
    """
    parser = argparse.ArgumentParser(prog="python -m airflow_pixverse.batch", description=__doc__)
    commands = parser.add_subparsers(required=True)
    show = commands.add_parser("show", help="print what the folder remembers of each row")
    show.add_argument("folder", help="such as s3://my_aws@bucket/campaign/")
    show.add_argument("--state", help="only rows in this state, such as unknown")
    show.set_defaults(command=_show)
    forget = commands.add_parser(
        "forget", help="let the folder forget rows, so that the next run makes them, and pays for them"
    )
    forget.add_argument("folder", help="such as s3://my_aws@bucket/campaign/")
    forget.add_argument("key", nargs="+", help="keys of rows, as the manifest has them")
    forget.add_argument("--yes", action="store_true", help="do it, instead of saying what would be done")
    forget.set_defaults(command=_forget)
    given = parser.parse_args(arguments)
    try:
        journal = FolderJournal(object_path(parse_storage_uri(given.folder, "folder")))
        return int(given.command(given, journal, journal.read_all()))
    except (ValueError, PixverseError) as error:
        print(error, file=sys.stderr)
        return 1


def _show(given: argparse.Namespace, _journal: FolderJournal, rows: Records) -> int:
    decided = [(key, deciding(records)) for key, records in sorted(rows.items())]
    shown = [(key, record) for key, record in decided if record and given.state in {None, record.state}]
    for key, record in shown:
        print(_line(key, record))
    states = Counter(record.state for _, record in shown)
    print(f"{len(shown)} rows: {', '.join(f'{n} {state}' for state, n in states.items())}")
    return 0


def _forget(given: argparse.Namespace, journal: FolderJournal, rows: Records) -> int:
    if missing := [key for key in given.key if key not in rows]:
        print(f"The folder remembers no row {', '.join(missing)}. Nothing was changed", file=sys.stderr)
        return 1
    for key in dict.fromkeys(given.key):
        for record in rows[key]:
            if record.state == "forgotten":
                continue
            print(_line(key, record))
            if given.yes:
                journal.write(key, dataclasses.replace(record, state="forgotten"))
    print(
        "These are forgotten: the next run whose table has such a row makes it, and pays for it."
        if given.yes
        else "These would be forgotten: the next run whose table has such a row would make it, and pay for "
        "it, also where a job is named above. Say --yes to do so."
    )
    return 0


def _line(key: str, record: SubmitRecord) -> str:
    cost = "" if record.cost_credits is None else f", {record.cost_credits} credits"
    told = " ".join(filter(None, [*record.job_ids, *record.paths, record.reason]))
    return f"{key}  {record.state}, sent at {record.sent_at}{cost}  {told}"


if __name__ == "__main__":
    sys.exit(main())
