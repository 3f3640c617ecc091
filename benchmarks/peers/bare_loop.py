"""
A loop with no Airflow around it, as a patient person writes it: it submits, asks, and tries again.

It imports nothing but requests, and is run as a process of its own, so that its CPU time is its own. Each URL
goes to a file at once, so that a loop that was killed makes only what it has not collected.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import requests

INTERVAL, REQUEST_TIMEOUT = 5, 30
REFUSED, NOT_FINISHED = 429, 404


def main(url: str, token: str, prompts: int, file: Path) -> None:
    """Make the prompts that the file does not have."""
    made: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    waiting = [text for text in (f"prompt {number}" for number in range(prompts)) if text not in made]
    running: dict[str, str] = {}
    videos = f"{url}/v2/pixverse/videos"
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"
        while waiting or running:
            try:
                for video_id, prompt in list(running.items()):
                    result = session.get(f"{videos}/{video_id}", timeout=REQUEST_TIMEOUT)
                    if result.status_code != NOT_FINISHED:
                        result.raise_for_status()
                        made[prompt] = result.json()["url"]
                        file.write_text(json.dumps(made))
                        del running[video_id]
                while waiting:
                    body = {"prompt": waiting[0]}
                    answer = session.post(f"{videos}/create", json=body, timeout=REQUEST_TIMEOUT)
                    if answer.status_code == REFUSED:
                        break  # there is no free slot
                    answer.raise_for_status()
                    running[answer.json()["video_id"]] = waiting.pop(0)
            except requests.RequestException as error:
                print(f"{error}; trying again", file=sys.stderr)
            time.sleep(INTERVAL)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
