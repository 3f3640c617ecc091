"""
A table of prompts in a bucket: each row becomes a video there, once, and a manifest says what became of it.

The variable `pixverse_folder` names a folder, such as `s3://my_aws@bucket/campaign`. In it is `prompts.csv`,
with the columns `prompt` and `first_frame_path`. The second is empty, or names a picture in that folder, such
as `frames/fox.png`. The videos go to `videos/`, and the manifest is `make_videos.csv`.

A row is what is sent for it, not where it stands. So the table may be sorted again, and grow, at any time:
the next run makes the rows that are new. It never pays again for a row that the folder knows, whichever run
has made it.
"""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.operators.pixverse import PixverseBatchOperator

FOLDER = "{{ var.value.get('pixverse_folder', 'file:///tmp/pixverse').rstrip('/') }}"

with DAG(
    "pixverse_table",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:
    PixverseBatchOperator(
        task_id="make_videos",
        rows=f"{FOLDER}/prompts.csv",
        payload={
            "model": "v5",
            "prompt": "{prompt}",
            "first_frame_path": "{first_frame_path}",
            "duration": 5,
        },
        folder=FOLDER,
        file_name="videos/{key}.{ext}",
        input_folder=FOLDER,  # a row may name no other file of yours
        retries=3,  # a retry goes on from what the folder knows, and never submits a row again
    )
