"""A table of prompts, as the example with a table reads it."""

import csv
import io

from airflow.providers.common.compat.sdk import ObjectStoragePath


class Table:
    """A folder with a table of prompts, its videos and the manifest."""

    def __init__(self, place):
        self.place = ObjectStoragePath(place)
        self.place.mkdir()

    def write(self, *lines):
        (self.place / "prompts.csv").write_text("\n".join(["prompt,first_frame_path", *lines]))

    @property
    def manifest(self):
        text = (self.place / "make_videos.csv").read_text()
        return {line["prompt"]: line for line in csv.DictReader(io.StringIO(text))}

    def became(self):
        return {prompt: line["status"] for prompt, line in self.manifest.items()}

    @property
    def videos(self):
        return sorted(str(path) for path in (self.place / "videos").iterdir())
