"""Reads the README and the pages of docs/ as tests need them: snippets, tables, links and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]
PAGES += sorted(DOCS.rglob("*.md"))

_BLOCK = re.compile(
    r"(?:^<!-- (?P<marker>.+?) -->\n)?^```(?P<language>[^\s`]*)[^\n`]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_INLINE_CODE = re.compile(r"(`+)(?P<code>.+?)\1")
_LINK = re.compile(r"\[(?P<label>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^(?P<level>#+) (?P<title>.+)$", re.MULTILINE)
_DAG_ID = re.compile(r"with DAG\(\s*\"(?P<dag_id>\w+)\"")


@dataclass(frozen=True)
class Snippet:
    """
    A block of Python code.

    :param marker: the comment above it, such as ``Airflow 3``; empty where there is none
    """

    text: str
    marker: str

    @property
    def dag_id(self) -> str:
        """The DAG that it defines; empty where it defines none."""
        match = _DAG_ID.search(self.text)
        return match["dag_id"] if match else ""

    @property
    def is_for_airflow_3(self) -> bool:
        """Return whether it cannot run on Airflow 2."""
        return self.marker == "Airflow 3"


def python_snippets(page: Path) -> list[Snippet]:
    """Return the blocks of Python code of a page, in order."""
    return [
        Snippet(block["text"], block["marker"] or "")
        for block in _BLOCK.finditer(page.read_text())
        if block["language"] == "python"
    ]


def dag_snippet(dag_id: str) -> Snippet:
    """Return the snippet, of any page, that defines a DAG."""
    [snippet] = [one for page in PAGES for one in python_snippets(page) if one.dag_id == dag_id]
    return snippet


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return _BLOCK.sub("", page.read_text())


def inline_code(text: str) -> list[str]:
    """Return what stands between backticks."""
    return [match["code"] for match in _INLINE_CODE.finditer(text)]


def links(page: Path) -> list[str]:
    """Return the targets of the links of a page."""
    return [target for _, target in labelled_links(_INLINE_CODE.sub("", prose(page)))]


def labelled_links(text: str) -> list[tuple[str, str]]:
    """Return the labels and the targets of the links in a text."""
    return [(match["label"], match["target"]) for match in _LINK.finditer(text)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual code hosts make them."""
    titles = [match["title"] for match in _HEADING.finditer(prose(page))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def section(page: Path, title: str) -> str:
    """Return what stands under a heading, up to the next of the same level or above."""
    text = page.read_text()
    [heading] = [match for match in _HEADING.finditer(text) if match["title"] == title]
    below = re.compile(rf"^#{{1,{len(heading['level'])}}} ", re.MULTILINE)
    following = below.search(text, heading.end())
    return text[heading.end() : following.start() if following else len(text)]


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables in a text: their rows, without heading, as lists of cells."""
    found: list[list[list[str]]] = []
    above = ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not above.startswith("|"):
                found.append([])
            # A bar in a cell would be written as \|, and there is none.
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        above = line
    return [rows[2:] for rows in found]
