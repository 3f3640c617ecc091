"""The package as users get it: the wheel and its metadata."""

import re
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from airflow_pixverse import __version__
from scripts.release import check_changelog

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def distribution(unpacked):
    [info] = unpacked.glob("*.dist-info")
    return PathDistribution(info)


def test_the_wheel_holds_this_package_and_nothing_else(unpacked):
    info = f"airflow_pixverse-{__version__}.dist-info"
    assert sorted(path.name for path in unpacked.iterdir()) == ["airflow_pixverse", info]
    packed = {path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file()}
    tracked = subprocess.run(
        ["git", "ls-files", "airflow_pixverse"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert {path for path in packed if path.parts[0] != info} == set(map(Path, tracked.stdout.splitlines()))
    assert Path("airflow_pixverse/py.typed") in packed
    files = ("page.js", "feed.js", "words.js", "page.css")
    assert {Path("airflow_pixverse/page/static", name) for name in files} <= packed


def test_its_metadata_is_valid(wheel):
    subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", wheel], check=True, capture_output=True
    )


def test_its_metadata_says_what_it_needs(distribution):
    assert distribution.version == __version__
    assert distribution.metadata["Requires-Python"] == ">=3.11"
    assert distribution.metadata["License-Expression"] == "Apache-2.0"
    runtime = {re.split(r"[<>=!~;\[ ]", need)[0] for need in distribution.requires if "extra ==" not in need}
    airflow = {"apache-airflow", "apache-airflow-providers-common-compat"}
    assert runtime == airflow | {"pydantic", "requests", "urllib3"}


def test_its_readme_has_no_link_that_leads_nowhere_on_an_index(distribution):
    text = distribution.metadata.get_payload()
    assert "Never paid twice" in text
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert [target for target in targets if not target.startswith("https://")] == []


def test_every_entry_point_imports_from_the_wheel(distribution, unpacked):
    points = {point.group: point.value for point in distribution.entry_points}
    assert points == {
        "apache_airflow_provider": "airflow_pixverse.provider_info:get_provider_info",
        "airflow.plugins": "airflow_pixverse.plugins.pixverse:PixversePagePlugin",
        "pytest11": "airflow_pixverse.testing.plugin",
    }
    code = """if True:
        import importlib, pkgutil, sys
        import airflow_pixverse
        assert airflow_pixverse.__file__.startswith(sys.argv[1]), airflow_pixverse.__file__
        for module in pkgutil.walk_packages(airflow_pixverse.__path__, "airflow_pixverse."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        from airflow_pixverse.provider_info import get_provider_info
        assert get_provider_info()["versions"] == [airflow_pixverse.__version__]
    """
    code = f"import sys; sys.path.insert(0, sys.argv[1])\n{code}"
    subprocess.run([sys.executable, "-c", code, unpacked], check=True, cwd=unpacked)


def test_the_changelog_tells_of_this_version():
    check_changelog((ROOT / "CHANGELOG.md").read_text())


def test_a_changelog_without_a_date_of_this_version_is_refused():
    with pytest.raises(SystemExit, match="no dated section"):
        check_changelog(f"## {__version__}\n")


def test_a_changelog_with_changes_that_wait_is_refused():
    with pytest.raises(SystemExit, match="Unreleased"):
        check_changelog(f"## Unreleased\n\n## {__version__} (2026-01-01)\n")


def test_the_hooks_of_pre_commit_run_what_make_lint_runs():
    makefile = (ROOT / "Makefile").read_text()
    [newest] = re.findall(r"^NEWEST := (.+)$", makefile, re.MULTILINE)
    [lint] = re.findall(r"^lint:.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)
    commands = [command.removesuffix(" .") for command in re.findall(r"-m (.+)", lint)]
    entry = re.compile(rf"entry: \.venv/airflow-{newest}/bin/(.+?)(?: --force-exclude)?$", re.MULTILINE)
    assert entry.findall((ROOT / ".pre-commit-config.yaml").read_text()) == commands
