"""The README and docs/: snippets run, links lead somewhere, tables and messages are those of the code."""

import importlib
import importlib.util
import inspect
import re
import runpy

import pytest
from airflow import __version__ as airflow_version
from packaging.version import Version

from airflow_pixverse import api, capabilities
from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import (
    PixverseJobModeratedError,
    error_for_status,
    is_not_accepted,
    unknown_outcome,
)
from airflow_pixverse.gate import pacing, suspicion
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.operators.pixverse import (
    PixverseBatchOperator,
    PixverseCancelOperator,
    PixverseDownloadOperator,
    PixverseListExecutingOperator,
    PixverseSubmitOperator,
)
from airflow_pixverse.sensors.job import PixverseJobSensor
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.submission.lost_jobs import TIMING
from airflow_pixverse.triggers.pixverse import PixverseCapacityEventTrigger
from scripts.diagrams import draw
from tests.documents import (
    DOCS,
    PAGES,
    README,
    ROOT,
    anchors,
    inline_code,
    links,
    prose,
    python_snippets,
    section,
    tables,
)

AIRFLOW = Version(airflow_version)
SERVICE = DOCS / "service.md"
HOOK_AND_CLIENT = DOCS / "reference/hook-and-client.md"
AIRFLOW_VERSIONS = DOCS / "reference/airflow-versions.md"
SNIPPETS = [snippet for page in PAGES for snippet in python_snippets(page)]
LONGEST_CELL = 200


def page_name(page):
    return str(page.relative_to(ROOT))


def snippet_id(snippet):
    return snippet.dag_id or snippet.text.strip().splitlines()[-1].strip()[:40]


def imported(path):
    """The DAGs of a file, as Airflow's own DAG processor finds them."""
    names = ("airflow.dag_processing.dagbag", "airflow.models.dagbag")
    name = next(name for name in names if importlib.util.find_spec(name))
    bag = importlib.import_module(name).DagBag(path)
    assert bag.import_errors == {}
    return bag.dags


# Snippets


@pytest.mark.parametrize("snippet", [one for one in SNIPPETS if one.dag_id], ids=snippet_id)
def test_a_dag_of_the_documentation_imports(snippet, tmp_path, airflow_db):
    if snippet.is_for_airflow_3 and AIRFLOW.major < 3:
        pytest.skip("for Airflow 3")
    path = tmp_path / "snippet.py"
    path.write_text(snippet.text)
    dag = imported(path)[snippet.dag_id]
    assert dag.tasks
    # Tests, and whoever pastes it, find it under this name.
    assert runpy.run_path(str(path))["dag"].dag_id == snippet.dag_id


@pytest.mark.parametrize("snippet", [one for one in SNIPPETS if not one.dag_id], ids=snippet_id)
def test_a_snippet_of_the_documentation_is_complete(snippet, tmp_path):
    path = tmp_path / "snippet.py"
    path.write_text(snippet.text)
    assert any(callable(value) for name, value in runpy.run_path(str(path)).items() if name[0] != "_")


def test_the_functions_of_the_documentation_do_what_they_say(sim, tmp_path, capsys, monkeypatch):
    functions = {}
    for snippet in SNIPPETS:
        if not snippet.dag_id and "def test_" not in snippet.text:
            path = tmp_path / "snippet.py"
            path.write_text(snippet.text)
            functions |= runpy.run_path(str(path))
    job = sim.start_job()
    assert functions["free_slots"]() == 0  # of an account that is not there
    assert functions["url_of"](job) is None
    sim.end_job(job)
    assert functions["url_of"](job).startswith("http")
    moderated = sim.start_job()
    sim.end_job(moderated, "moderated", "a dragon")
    with pytest.raises(PixverseJobModeratedError, match="a dragon"):
        functions["url_of"](moderated)

    client = functions["PixverseClient"]
    monkeypatch.setitem(
        functions["executing"].__globals__, "PixverseClient", lambda token: client(token, base_url=sim.url)
    )
    assert functions["executing"](sim.token) == []
    assert functions["executing"]("user:9-wrong-token") == []
    printed = capsys.readouterr().out
    assert "127.0.0.1" in printed
    assert "wrong-token" not in printed


# Links


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_leads_somewhere(page):
    for target in links(page):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_the_readme_is_one_screen_and_makes_a_video_at_once():
    text = README.read_text()
    assert len(text) <= 12_000
    assert "PixverseSubmitOperator(" in "\n".join(text.splitlines()[:15])


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_lines_and_cells_are_short(page):
    text = prose(page)
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > 120] == []
    cells = [cell for table in tables(text) for row in table for cell in row]
    # The target of a link is not read.
    assert [cell for cell in cells if len(re.sub(r"\]\([^)]*\)", "]", cell)) > LONGEST_CELL] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_file_that_is_named_exists(page):
    named = re.compile(r"(?:docs|tests|example_dags|constraints|scripts|airflow_pixverse)/[\w./]*|[A-Z]+\.md")
    for code in inline_code(prose(page)):
        if named.fullmatch(code):
            assert (ROOT / code).exists(), code


@pytest.mark.parametrize("path", sorted((DOCS / "pictures").glob("*.txt")), ids=lambda path: path.stem)
def test_a_diagram_is_drawn_from_its_description(path):
    assert path.with_suffix(".svg").read_text() == draw(path.read_text())


def test_a_description_that_cannot_be_read_names_its_line():
    with pytest.raises(ValueError, match="task => gate"):
        draw("A title\nactor task: Task\ntask => gate: queue()")


# Tables


@pytest.mark.parametrize(
    "described",
    [
        PixverseSubmitOperator,
        PixverseBatchOperator,
        PixverseCapacitySensor,
        PixverseJobSensor,
        PixverseDownloadOperator,
        PixverseListExecutingOperator,
        PixverseCancelOperator,
        PixverseCapacityEventTrigger,
    ],
)
def test_the_docstring_that_the_reference_shows_names_every_parameter(described):
    """The reference has no tables of parameters of its own."""
    documented = dict(re.findall(r":param (\w+): (.+?)(?=\n:|\Z)", inspect.getdoc(described), re.DOTALL))
    known = {
        parameter.name
        for parameter in inspect.signature(described.__init__).parameters.values()
        if parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    }
    assert known == documented.keys() - {"kwargs"}
    templated = {name for name, text in documented.items() if "(templated)" in text}
    assert templated == set(getattr(described, "template_fields", ()))


def test_the_reference_names_the_calls_of_hook_and_client_and_what_they_return():
    calls, _ = tables(section(HOOK_AND_CLIENT, "Hook and client"))
    named = {call.partition("(")[0]: row for row, *_ in calls for call in inline_code(row)}
    client = {
        name for name, _ in inspect.getmembers(PixverseClient, inspect.isfunction) if not name.startswith("_")
    }
    assert named.keys() == client - {"close"}
    hook = [
        all(hasattr(PixverseHook, code.partition("(")[0]) for code in inline_code(row[0])) for row in calls
    ]
    assert hook == [True] * 6 + [False] * 3  # as the text above the table says
    for call in (code for row, *_ in calls for code in inline_code(row)):
        name, _, parameters = call.strip(")").partition("(")
        described = inspect.signature(getattr(PixverseClient, name)).parameters
        assert {parameter.strip(" =.") for parameter in parameters.split(",")} - {""} <= described.keys(), (
            call
        )


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_error_that_is_named_exists(page):
    named = {code for code in inline_code(prose(page)) if re.fullmatch(r"Pixverse\w+Error", code)}
    assert named <= set(api.__all__)


def test_the_table_of_answers_to_a_submit_is_the_codes():
    [table] = tables(section(SERVICE, "What an answer to a submit means"))
    statuses = set()
    for answer, accepted, raised in table:
        for status in map(int, re.findall(r"\b[4-9]\d\d\b", answer)):
            error = error_for_status(status, method="POST", path="videos/create")
            refused = is_not_accepted(error)
            statuses.add(status)
            assert accepted.partition(" (")[0] == ("no" if refused else "unknown"), status
            expected = getattr(api, inline_code(raised)[0])
            assert isinstance(error if refused else unknown_outcome(error), expected), status
    assert statuses >= {400, 401, 402, 403, 404, 412, 422, 429, 500, 596}


def test_what_you_may_import_is_what_the_modules_export():
    table, *_ = tables(section(DOCS / "reference/public.md", "What you may import"))
    named = {inline_code(module)[0]: inline_code(names) for module, names in table}
    assert named.pop("airflow_pixverse.api") == ["__all__"]
    assert named.pop("airflow_pixverse.testing.plugin")  # pytest finds its fixtures
    assert named.pop("airflow_pixverse") == ["__version__"]
    for decorator in ("@task.pixverse", "@task.pixverse_batch"):
        named["airflow_pixverse.decorators.pixverse"].remove(decorator)
    exported = {module: importlib.import_module(module).__all__ for module in named}
    assert {module: sorted(names) for module, names in named.items()} == {
        module: sorted(names) for module, names in exported.items()
    }


def contract_in(text, begin, end):
    """A contract that a text states, from its first words to its last, without marks and line breaks."""
    plain = " ".join(re.sub("[*`]", "", text).split())
    assert plain.count(begin) == 1
    return begin + plain.partition(begin)[2].partition(end)[0] + end


@pytest.mark.parametrize(
    ("pages", "operator", "begin", "end"),
    [
        (
            [README, DOCS / "explanation/never-paid-twice.md"],
            PixverseSubmitOperator,
            "A retry never submits a second job",
            "submits and charges again.",
        ),
        (
            [README, DOCS / "explanation/batch.md", DOCS / "tutorial/table-of-prompts.md"],
            PixverseBatchOperator,
            "A folder never pays twice",
            "until a person decides.",
        ),
    ],
    ids=["submit", "batch"],
)
def test_every_copy_of_a_contract_says_the_same(pages, operator, begin, end):
    texts = [*(page.read_text() for page in pages), inspect.getdoc(operator)]
    copies = {contract_in(text, begin, end) for text in texts}
    assert len(copies) == 1, copies


def test_the_glossary_is_short_and_sorted():
    [table] = tables((DOCS / "glossary.md").read_text())
    words = [row[0].strip("*") for row in table]
    assert words == sorted(words)
    assert len(words) <= 25


def test_the_table_of_outcomes_stands_once():
    """A second one would be forgotten when a row changes."""
    with_it = [page for page in PAGES if "`soft_fail` | `never_fail`" in page.read_text()]
    assert with_it == [DOCS / "explanation/how-a-wait-ends.md"]
    table, *_ = tables(section(with_it[0], "How a wait ends"))
    assert len(table) == 9


@pytest.mark.parametrize(("page", "title"), [(README, "Versions"), (AIRFLOW_VERSIONS, "Airflow versions")])
def test_the_documentation_names_the_versions_that_are_tested(page, title):
    versions = {path.stem.removeprefix("airflow-") for path in (ROOT / "constraints").glob("*.txt")}
    named = set(re.findall(r"\b[23]\.\d+\.\d+(?:b\d+)?\b", section(page, title)))
    assert named - {"3.1.1"} == versions  # the first that has the page


def test_the_numbers_of_the_gate_are_those_of_the_code():
    [table] = tables(section(DOCS / "explanation/gate.md", "When it polls"))
    numbers = {inline_code(constant)[0]: float(seconds) for _, seconds, constant in table}
    assert len(numbers) == len(table)
    constants = vars(pacing) | vars(suspicion)
    assert numbers == {name: constants[name] for name in numbers}


def test_for_how_long_a_lost_job_is_looked_for_is_what_the_code_says():
    """The class says it to those who read the code."""
    text = (DOCS / "explanation/never-paid-twice.md").read_text() + inspect.getdoc(PixverseSubmitOperator)
    assert {float(seconds) for seconds in re.findall(r"(?:for|sent) (\d+) s(?:econds)?\b", text)} == {
        TIMING.look_for
    }


def test_the_table_of_capabilities_is_true_of_this_airflow():
    [table] = tables(section(AIRFLOW_VERSIONS, "What each version of Airflow can do"))
    series = [(2, 11), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)]
    column = series.index((AIRFLOW.major, AIRFLOW.minor))
    flags = {inline_code(row[0])[-1]: row[1:][column].startswith("yes") for row in table}
    constants = {name: can for name, can in flags.items() if name.isupper()}
    assert constants == {
        name: value
        for name, value in vars(capabilities).items()
        if isinstance(value, bool) and not name.startswith(("AIRFLOW_V_", "TYPE_"))
    }
