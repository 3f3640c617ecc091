"""
A table of prompts in a bucket: each row becomes a video there, once, and a manifest says what became of it.

The variable `pixverse_folder` names a folder, such as `s3://my_aws@bucket/campaign`. In it are `prompts.csv`,
with a column `prompt` and, if videos are to begin with a picture in that folder, `first_frame_path`; the
videos, in `videos/`; and `manifest.csv`, which is written also if rows have failed.

A row is what it says, not where it stands: its key is a hash of its content. So the table may be sorted anew,
and grow, at any time. A run makes the rows that are not in the manifest, and those that have failed or were
not submitted. What may be paid for is not made again: a row that is `begun`, `accepted` or `unknown` is left
out until somebody has looked for its job, and drops its line or stores its video. So is a row that was
moderated. To clear tasks of `make` submits, and pays for, their rows again.
"""

import csv
import hashlib
import io
import json
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, ObjectStoragePath, task

FOLDER = "{{ var.value.get('pixverse_folder', 'file:///tmp/pixverse') }}"
KEY = "{{ task.op_kwargs['row']['key'] }}"
COLUMNS = ["key", "prompt", "status", "path", "job", "cost_credits", "reason", "run"]
MADE_AGAIN = {"new", "failed", "not submitted"}

Row = dict[str, Any]


def read_csv(path: ObjectStoragePath) -> list[Row]:
    """Return the rows of a table."""
    text = path.read_text(encoding="utf-8-sig")  # spreadsheets write a mark at its beginning
    return list(csv.DictReader(io.StringIO(text), restkey="more"))


def read_manifest(folder: str) -> dict[str, Row]:
    """Return the lines of the manifest by the keys of their rows."""
    try:
        return {line["key"]: line for line in read_csv(ObjectStoragePath(folder) / "manifest.csv")}
    except FileNotFoundError:
        return {}


def write_manifest(folder: str, lines: dict[str, Row]) -> None:
    """Write the manifest, so that whoever reads it sees the old one or the new one."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(lines.values())
    temporary = ObjectStoragePath(folder) / ".manifest.csv.part"
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(ObjectStoragePath(folder) / "manifest.csv")


def key_of(row: Row) -> str:
    """Return what names a row, whatever stands above it."""
    content = sorted((name, value) for name, value in row.items() if value)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


with DAG(
    "pixverse_table",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    max_active_runs=1,  # two runs at once would both make what is new
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:

    @task
    def read_table(folder: str, run_id: str) -> list[Row]:
        """Return the rows that this run makes, once they are in the manifest."""
        lines = read_manifest(folder)
        rows: dict[str, Row] = {}
        for row in read_csv(ObjectStoragePath(folder) / "prompts.csv"):
            key = key_of(row)
            line = lines.setdefault(key, {"key": key, "prompt": row.get("prompt"), "status": "new"})
            video = ObjectStoragePath(folder) / "videos" / f"{key}.mp4"
            if video.exists():
                line |= {"status": "stored", "path": str(video)}
            elif line["status"] in MADE_AGAIN or (line["status"], line["run"]) == ("begun", run_id):
                lines[key] = {"key": key, "prompt": row.get("prompt"), "status": "begun", "run": run_id}
                rows[key] = {**row, "key": key}
        write_manifest(folder, lines)
        return list(rows.values())

    @task.pixverse(
        output_path=f"{FOLDER}/videos/",
        file_name=f"{KEY}.mp4",
        map_index_template=KEY,
        deferrable=True,
        retries=3,  # never submits a second job
        retry_delay=timedelta(seconds=10),
    )
    def make(folder: str, row: Row) -> Row:
        """Return what to submit for a row."""
        if not (row.get("prompt") or "").strip():
            raise AirflowFailException("the row has no prompt")
        payload = {"model": "v5", "prompt": row["prompt"], "duration": 5}
        if frame := row.get("first_frame_path"):
            if ".." in frame:
                raise AirflowFailException("first_frame_path must name a file in the folder")
            payload["first_frame_path"] = f"{folder}/{frame}"
        return payload

    @task(trigger_rule="all_done")  # also if rows have failed
    def write_down(folder: str, rows: list[Row] | None, ti: Any) -> None:
        """Write the manifest, and fail if rows of this run have no video."""
        if rows is None:
            raise AirflowFailException("nothing was made: the task read_table has failed")
        lines = read_manifest(folder)
        for failure in ti.xcom_pull(task_ids=["make"], key="failure") or []:
            if failure:
                line = lines[rows[failure["map_index"]]["key"]]
                line |= failure | {"job": " ".join(failure["job_ids"])}
        for video in ti.xcom_pull(task_ids=["make"], key="result") or []:
            if video and "path" in video:
                facts = {"status": "stored", "path": video["path"], "job": video["id"], "reason": ""}
                line = lines[PurePosixPath(video["path"]).stem]
                line |= facts | {"cost_credits": video["cost_credits"]}
        write_manifest(folder, lines)
        missing = [row["key"] for row in rows if lines[row["key"]]["status"] != "stored"]
        if missing:
            raise AirflowFailException(f"{len(missing)} of {len(rows)} rows have no video: see manifest.csv")

    rows = read_table(folder=FOLDER)
    make.partial(folder=FOLDER).expand(row=rows) >> write_down(folder=FOLDER, rows=rows)
