"""Run the demo, and draw what it prints into docs/pictures/demo.svg; `make demo-picture` runs this."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import escape

from scripts.diagrams import PICTURES

LETTER, LINE, MARGIN, BAR = 7.83, 18, 16, 34
COLUMNS = 112
# Airflow's own lines, which differ from run to run, begin with this.
OWN_LINE = re.compile(r"\[?\d{4}-\d\d-\d\d|\S*Warning:|  warnings\.warn")

STYLE = """
  .page { fill: #18181b; stroke: #3f3f46; }
  text { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
  text { fill: #e4e4e7; white-space: pre; }
  .part { fill: #c4b5fd; font-weight: 600; }
"""


def draw(output: str) -> str:
    """Return a picture of a terminal that shows an output."""
    lines = ["$ make demo", *(line for line in output.splitlines() if not OWN_LINE.match(line))]
    shown = [part for line in lines for part in _wrapped(line)]
    width, height = round(COLUMNS * LETTER) + 2 * MARGIN, LINE * len(shown) + BAR + MARGIN
    texts = [
        f'<text{_style(line)} x="{MARGIN}" y="{BAR + LINE * number}">{escape(line)}</text>'
        for number, line in enumerate(shown)
        if line
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">'
    )
    page = f'<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>'
    title = "<title>What make demo prints</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", page, *texts, "</svg>", ""])


def _wrapped(line: str) -> list[str]:
    return [line[start : start + COLUMNS] for start in range(0, len(line), COLUMNS)] or [""]


def _style(line: str) -> str:
    return ' class="part"' if re.match(r"\d\. |\$ ", line) else ""


def main() -> None:
    """Take the picture."""
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "scripts.demo"]
    output = subprocess.check_output(command, env=environment, stderr=subprocess.DEVNULL, text=True)
    # The folder of the run is another one each time.
    output = re.sub(r"file:///\S+/videos", "file:///tmp/videos", output)
    (PICTURES / "demo.svg").write_text(draw(output), encoding="utf-8")


if __name__ == "__main__":
    main()
