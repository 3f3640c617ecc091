"""
Draw the diagrams of docs/pictures from their descriptions there; `make diagrams` runs this.

A description names its actors, and then who calls whom, from top to bottom::

    actor task: Task | on a worker
    section A wait begins
    task -> state: defer()
    note task: what happens there
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"

LANE, MARGIN, HEAD, LINE = 196, 16, 56, 17
LABEL_COLUMNS = 26  # characters in a lane's width

STYLE = """
  svg { color-scheme: light dark; }
  .page { fill: #ffffff; stroke: #d4d4d8; }
  .head { fill: #ede9fe; stroke: #8b5cf6; }
  .note { fill: #f4f4f5; stroke: #a1a1aa; }
  .life { stroke: #a1a1aa; stroke-dasharray: 3 4; }
  .call { stroke: #6d28d9; stroke-width: 1.6; fill: none; }
  .tip { fill: #6d28d9; }
  text { font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
  text { fill: #18181b; text-anchor: middle; }
  .label { paint-order: stroke; stroke: #ffffff; stroke-width: 5px; stroke-linejoin: round; }
  .name { font-weight: 600; }
  .section { font-weight: 600; fill: #6d28d9; text-anchor: start; }
  .rule { stroke: #d4d4d8; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #18181b; stroke: #3f3f46; }
    .head { fill: #2e1065; stroke: #a78bfa; }
    .note { fill: #27272a; stroke: #71717a; }
    .life { stroke: #71717a; }
    .call { stroke: #c4b5fd; }
    .tip { fill: #c4b5fd; }
    text { fill: #f4f4f5; }
    .label { stroke: #18181b; }
    .section { fill: #c4b5fd; }
    .rule { stroke: #3f3f46; }
  }
"""

ACTOR = re.compile(r"actor (?P<id>\w+): (?P<name>[^|]+?)(?: \| (?P<place>.+))?")
CALL = re.compile(r"(?P<caller>\w+) -> (?P<called>\w+): (?P<label>.+)")
NOTE = re.compile(r"note (?P<actor>\w+): (?P<label>.+)")
SECTION = re.compile(r"section (?P<title>.+)")


@dataclass
class Drawing:
    """The shapes of a diagram, from top to bottom."""

    lanes: dict[str, int] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    y: int = MARGIN + HEAD - 8

    def x(self, actor: str) -> int:
        """Return the middle of an actor's lane."""
        return MARGIN + self.lanes[actor] * LANE + LANE // 2

    def add_actor(self, actor: str, name: str, place: str | None) -> None:
        """Add a lane on the right."""
        self.lanes[actor] = len(self.lanes)
        x = self.x(actor)
        width = LANE - 16
        self.heads.append(
            f'<rect class="head" x="{x - width // 2}" y="{MARGIN}" width="{width}" height="44" rx="6"/>'
        )
        self.heads.append(_text(x, MARGIN + (18 if place else 27), name, "name"))
        if place:
            self.heads.append(_text(x, MARGIN + 36, place))

    def add_section(self, title: str) -> None:
        """Add a title and a line above what follows."""
        right = MARGIN + len(self.lanes) * LANE
        self.y += 12
        self.shapes.append(f'<line class="rule" x1="{MARGIN}" y1="{self.y}" x2="{right}" y2="{self.y}"/>')
        self.y += 20
        self.shapes.append(_text(MARGIN + 4, self.y, title, "section label"))
        self.y += 6

    def add_call(self, caller: str, called: str, label: str) -> None:
        """Add an arrow with its label above it."""
        start, end = self.x(caller), self.x(called)
        lanes = abs(self.lanes[caller] - self.lanes[called])
        self._add_lines((start + end) // 2, label, LABEL_COLUMNS * lanes, "label")
        self.y += 7
        tip = end - 8 if end > start else end + 8
        self.shapes.append(f'<path class="call" d="M{start} {self.y}H{tip}"/>')
        self.shapes.append(f'<path class="tip" d="M{end} {self.y}L{tip} {self.y - 4}V{self.y + 4}Z"/>')
        self.y += 8

    def add_note(self, actor: str, label: str) -> None:
        """Add a box in a lane."""
        lines = textwrap.wrap(label, LABEL_COLUMNS)
        x, height = self.x(actor), LINE * len(lines) + 10
        self.y += 10
        width = LANE - 8
        self.shapes.append(
            f'<rect class="note" x="{x - width // 2}" y="{self.y}" width="{width}" height="{height}" rx="4"/>'
        )
        self._add_lines(x, label, LABEL_COLUMNS, "")
        self.y += 10

    def svg(self, title: str) -> str:
        """Return the picture."""
        width, height = 2 * MARGIN + len(self.lanes) * LANE, self.y + MARGIN
        lives = [
            f'<line class="life" x1="{self.x(actor)}" y1="{MARGIN + 44}" x2="{self.x(actor)}" y2="{self.y}"/>'
            for actor in self.lanes
        ]
        page = f'<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">'
        )
        lines = [head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", page]
        return "\n".join([*lines, *lives, *self.heads, *self.shapes, "</svg>", ""])

    def _add_lines(self, x: int, text: str, columns: int, style: str) -> None:
        for line in textwrap.wrap(text, columns):
            self.y += LINE
            self.shapes.append(_text(x, self.y, line, style))


def draw(description: str) -> str:
    """
    Return the SVG of a description.

    :raises ValueError: a line that cannot be read; the message holds it.
    """
    drawing = Drawing()
    title, *lines = description.splitlines()
    for line in filter(None, lines):
        if match := ACTOR.fullmatch(line):
            drawing.add_actor(*match.groups())
        elif match := SECTION.fullmatch(line):
            drawing.add_section(match["title"])
        elif match := NOTE.fullmatch(line):
            drawing.add_note(match["actor"], match["label"])
        elif match := CALL.fullmatch(line):
            drawing.add_call(match["caller"], match["called"], match["label"])
        else:
            raise ValueError(f"a line that cannot be read: {line!r}")
    return drawing.svg(title)


def _text(x: int, y: int, text: str, style: str = "") -> str:
    return f'<text x="{x}" y="{y}"{f" class={style!r}" if style else ""}>{escape(text)}</text>'.replace(
        "'", '"'
    )


def main() -> None:
    """Draw every description anew."""
    for path in sorted(PICTURES.glob("*.txt")):
        path.with_suffix(".svg").write_text(draw(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
