"""Templates of payloads and of file names: which braces are columns, and what a cell becomes."""

import pytest

from airflow_pixverse.batch.rows import parse_batch_file_name
from airflow_pixverse.batch.template import columns_of, fill

NAMES = ["prompt", "_1", "prénom", "pre\u0301nom", "名前", "हिन्दी"]


@pytest.mark.parametrize("name", NAMES)
def test_column_of_any_language_is_a_field_in_payload_and_file_name(name):
    template = {"a": f"{{{name}}}", "b": f"a {{{name}}}", "c": f"{{{name}:int}}"}
    assert list(columns_of(template)) == [name] * 3
    assert fill(template, {name: "7"}) == {"a": "7", "b": "a 7", "c": 7}
    assert parse_batch_file_name(f"{{{name}}}.{{ext}}")


@pytest.mark.parametrize("text", ["{}", "{1}", "{a b}", "{a-b}", "{a\u3000b}", "{'a': 1}", "{{x"])
def test_braces_around_anything_but_a_plain_name_stand_for_themselves(text):
    assert fill(text, {}) == text


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("int", " 8 ", 8),
        ("int", 8, 8),
        ("float", "0.5", 0.5),
        ("float", "1e3", 1000.0),
        ("float", 2, 2.0),
        ("bool", "Yes", True),
        ("bool", "0", False),
        ("bool", True, True),
        ("bool", "FALSE", False),
        ("json", '{"a": [1]}', {"a": [1]}),
    ],
)
def test_cell_of_a_type_becomes_a_value_of_it(kind, cell, value):
    filled = fill({"x": f"{{x:{kind}}}"}, {"x": cell})["x"]
    assert (filled, type(filled)) == (value, type(value))


@pytest.mark.parametrize("cell", ["", "  ", None])
@pytest.mark.parametrize("kind", ["int", "float", "bool", "json"])
def test_empty_cell_of_a_type_drops_its_key(kind, cell):
    assert fill({"x": f"{{x:{kind}}}", "y": 1}, {"x": cell}) == {"y": 1}


@pytest.mark.parametrize(
    ("kind", "cell"),
    [("int", "8.5"), ("float", "a half"), ("bool", "maybe"), ("bool", "2"), ("json", "{"), ("float", "0,5")],
)
def test_cell_of_another_type_names_its_column(kind, cell):
    with pytest.raises(ValueError, match=f"column 'x' must hold {kind} values, not '{cell}'"):
        fill({"x": f"{{x:{kind}}}"}, {"x": cell})
