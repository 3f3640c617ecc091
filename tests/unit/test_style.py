"""The style guide of CONTRIBUTING.md, as far as a test can hold it."""

import ast
import re

import pytest

from tests.documents import ROOT

QUESTION = re.compile(r"(What|Which|Where|Who|Whom|How|Whether)\b")
FOLDERS = ("airflow_pixverse", "benchmarks", "example_dags", "scripts", "tests", "tools")
FILES = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))


def docstrings(path):
    """The first line of each docstring of a file, and whether it is that of a property."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = [ast.unparse(one) for one in getattr(node, "decorator_list", [])]
            is_property = any("property" in one for one in decorators)
            yield (ast.get_docstring(node) or "").partition("\n")[0], is_property


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_first_line_of_docstring_is_no_question(path):
    """A boolean property alone may begin with "Whether"."""
    questions = [
        line
        for line, is_property in docstrings(path)
        if QUESTION.match(line) and not (is_property and line.startswith("Whether"))
    ]
    assert questions == []
