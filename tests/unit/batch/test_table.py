"""The table of a batch: what a file may be, and how one that is none is named."""

import json

import pytest

from airflow_pixverse.batch.table import parse_rows, read_rows


@pytest.fixture
def table(tmp_path):
    """Return a function that reads a file as a table."""

    def read(content, name="prompts.csv"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_rows(parse_rows(f"{tmp_path.as_uri()}/{name}"))

    return read


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("id,prompt\n1,a fox\n", [{"id": "1", "prompt": "a fox"}]),
        (
            b"\xef\xbb\xbfid,prompt\r\n1,a fox\r\n2,\r\n",
            [{"id": "1", "prompt": "a fox"}, {"id": "2", "prompt": ""}],
        ),
        (" id , prompt\n1,a fox\n", [{"id": "1", "prompt": "a fox"}]),
        ('prompt\n"a fox, ""red""\nin the snow"\n', [{"prompt": 'a fox, "red"\nin the snow'}]),
        ("prompt\r\n\r\na fox\r\n\r\n", [{"prompt": "a fox"}]),
        ("prénom\nZoé", [{"prénom": "Zoé"}]),
        ("prompt\n", []),
    ],
    ids=["plain", "BOM and CRLF", "blanks in the header", "quotes", "empty lines", "letters", "no rows"],
)
def test_csv_file_is_read(table, content, rows):
    assert table(content) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"prompts\.csv: the first line must name each column once, not \[\]"),
        ("id,id\n", r"the first line must name each column once, not \['id', 'id'\]"),
        ("id,\n", r"the first line must name each column once, not \['id', ''\]"),
        ("id,prompt\n1,a fox\n2\n", "line 3: it has not 2 cells"),
        ("id,prompt\n1,a fox, red\n", "line 2: it has not 2 cells.*must stand in quotes"),
        ('prompt\n"a fox', "line 2: unexpected end of data"),
        ("prompt\nZoé\n".encode("latin-1"), "is not in UTF-8: .* at byte 9"),
    ],
)
def test_file_that_is_no_csv_table_is_named_with_its_line(table, content, message):
    with pytest.raises(ValueError, match=message):
        table(content)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.NDJSON", "rows.jsonlines"])
def test_file_of_json_lines_is_read(table, name):
    rows = [{"prompt": "a fox\u2028", "seconds": 8}, {"prompt": "an owl", "seconds": None}]
    text = "\r\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    assert table(f"\ufeff{text}\n", name) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\n\n{"a": 2\n', r"rows\.jsonl, line 3: it is not JSON"),
        ('{"a": 1}\n[1]\n', "line 2: it is no object"),
        ("[" * 100_000, "line 1: it is not JSON"),
    ],
)
def test_file_that_is_no_table_of_json_lines_is_named_with_its_line(table, content, message):
    with pytest.raises(ValueError, match=message):
        table(content, "rows.jsonl")
