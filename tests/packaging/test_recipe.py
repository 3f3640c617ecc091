"""The recipe for testing a DAG, in an empty project, with the package as users install it."""

import os
import re
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.documents import python_snippets

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^<!-- recipe: (?P<file>\S+) -->\n```\w*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def recipe(page):
    """The files of the recipe that a page shows, by name."""
    return {block["file"]: block["text"] for block in BLOCK.finditer(page.read_text())}


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of an environment in which the wheel is installed, beside Airflow and all that is here."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(paths["purelib"])
    # By way of this line, packages are found, but not the .pth file that leads to this work tree.
    Path(paths["purelib"], "packages.pth").write_text(sysconfig.get_path("purelib"))
    return Path(paths["scripts"], "python")


@pytest.fixture
def run(python, tmp_path):
    """A function that runs the Python in an empty folder, checks the exit code, and returns the output."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))
    }
    environment["HOME"] = str(tmp_path / "home")

    def run_python(*arguments, expected=0):
        done = subprocess.run(
            [python, *arguments],
            check=False,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == expected, done.stdout
        return done.stdout

    return run_python


@pytest.fixture
def project(tmp_path):
    """The folder of a user who has followed the recipe."""
    for name, text in recipe(ROOT / "tests/packaging/recipe.md").items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_documentation_shows_this_recipe():
    assert recipe(ROOT / "docs/how-to/test-your-dags.md") == recipe(ROOT / "tests/packaging/recipe.md")


def test_the_test_of_the_readme_passes_with_the_dag_of_the_readme(tmp_path, run):
    dag, test = python_snippets(ROOT / "README.md")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/fox.py").write_text(dag.text)
    (tmp_path / "test_fox.py").write_text(test.text)
    (tmp_path / "pytest.ini").write_text("[pytest]\npixverse_dags_folder = dags\n")
    assert "1 passed" in run("-m", "pytest")


@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["alone", "with xdist"])
def test_it_passes_in_an_empty_project(project, run, options):
    assert "3 passed" in run("-m", "pytest", *options)
    # The Airflow home was temporary: nothing has been set up in the user's own.
    assert not (project / "home").exists()


def test_it_runs_what_the_wheel_holds(run, python):
    location = run("-c", "import airflow_pixverse.testing.plugin as plugin; print(plugin.__file__)")
    assert Path(location.strip()).is_relative_to(python.parents[1])


def test_a_missing_dag_folder_is_one_line(project, run):
    (project / "pytest.ini").write_text("[pytest]\npixverse_dags_folder = elsewhere\n")
    said = run("-m", "pytest", expected=4)
    assert said.strip() == f"ERROR: pixverse_dags_folder: there is no folder {project}/elsewhere"


def test_without_the_line_in_pytest_ini_the_missing_database_is_named_with_its_cure(project, run):
    (project / "pytest.ini").unlink()
    said = run("-m", "pytest", "test_my_dag.py::test_my_dag", expected=1)
    assert "Add a line like 'pixverse_dags_folder = dags' to pytest.ini" in said


def test_the_plugin_imports_nothing_slow_and_leaves_other_sessions_alone(tmp_path, run):
    (tmp_path / "test_other.py").write_text(
        """
import os, sys

def test_other():
    assert "airflow_pixverse.testing.plugin" in sys.modules
    slow = {"airflow", "aiohttp", "pydantic", "requests", "airflow_pixverse.simulator"}
    assert slow.isdisjoint(sys.modules)
    assert not [name for name in os.environ if name.startswith("AIRFLOW")]
"""
    )
    run("-m", "pytest", "test_other.py")
