"""Build wheel and sdist, check both, and print the steps to publish them; `make release` runs this."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from airflow_pixverse import __version__

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
IN_SDIST = ("README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "docs/index.md")
IN_WHEEL = ("airflow_pixverse/py.typed", "airflow_pixverse/page/static/page.js")
# Airflow's own installation brings providers, among which it finds this one.
CHECK = """
import airflow_pixverse
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow.providers_manager import ProvidersManager

providers = ProvidersManager().providers
assert providers["airflow-pixverse"].version == airflow_pixverse.__version__, providers.keys()
assert "pixverse" in ProvidersManager().hooks
assert "pixverse" in dict(ProvidersManager().taskflow_decorators)
print("Installed beside", len(providers), "providers of Airflow")
"""


def main() -> None:
    """Build and check what is to be published."""
    parser = argparse.ArgumentParser(description=__doc__.partition(";")[0])
    parser.add_argument("--uv", required=True, help="path of uv")
    parser.add_argument("--airflow", required=True, help="a version of Airflow, such as 3.3.2")
    arguments = parser.parse_args()
    check_changelog((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(DIST), str(ROOT))
    [wheel], [sdist] = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist))
    check_contents(wheel, sdist)
    install_beside_airflow(arguments.uv, arguments.airflow, wheel)
    print(steps())


def check_changelog(text: str) -> None:
    """
    Check that the changelog has a dated section of this version, and nothing that waits for one.

    :raises SystemExit: it has not.
    """
    if not re.search(rf"^## {re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)$", text, re.MULTILINE):
        raise SystemExit(f"CHANGELOG.md has no dated section of {__version__}")
    if "## Unreleased" in text:
        raise SystemExit("CHANGELOG.md has changes under Unreleased: move them under the version")


def check_contents(wheel: Path, sdist: Path) -> None:
    """
    Check that both hold what they must, and the wheel nothing but the package.

    :raises SystemExit: a file is missing, or should not be there.
    """
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    missing = [*(set(IN_WHEEL) - in_wheel), *(set(IN_SDIST) - in_sdist)]
    folders = {name.partition("/")[0] for name in in_wheel}
    if missing or folders != {"airflow_pixverse", f"airflow_pixverse-{__version__}.dist-info"}:
        raise SystemExit(f"missing: {missing}; folders of the wheel: {sorted(folders)}")
    print(f"{wheel.name} has {len(in_wheel)} files, {sdist.name} has {len(in_sdist)}")


def install_beside_airflow(uv: str, airflow: str, wheel: Path) -> None:
    """Install the wheel into an empty environment, with Airflow and its own providers, and check that."""
    constraints = ROOT / "constraints" / f"airflow-{airflow}.txt"
    with tempfile.TemporaryDirectory(prefix="airflow-pixverse-") as folder:
        python = Path(folder) / "venv" / "bin" / "python"
        run(uv, "--quiet", "venv", "--python", sys.executable, str(python.parent.parent))
        install = [uv, "--quiet", "pip", "install", "--python", str(python), "--constraint", str(constraints)]
        run(*install, f"apache-airflow=={airflow}", str(wheel))
        run(uv, "--quiet", "pip", "check", "--python", str(python))
        home = {"AIRFLOW_HOME": str(Path(folder) / "home"), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        run(str(python), "-c", CHECK, **home)


def steps() -> str:
    """Return what is left to do by hand."""
    return f"""
To publish {__version__}:
  1. make test-all
  2. git tag --annotate v{__version__} --message "airflow-pixverse {__version__}"
     git push origin v{__version__}
  3. .venv/airflow-*/bin/python -m twine upload dist/*
  4. Raise __version__ in airflow_pixverse/__init__.py, and open its section in CHANGELOG.md."""


def run(*command: str, **environment: str) -> None:
    """Run a command in an empty folder, so that it imports nothing of this checkout."""
    with tempfile.TemporaryDirectory() as elsewhere:
        subprocess.run(command, check=True, cwd=elsewhere, env=os.environ | environment)


if __name__ == "__main__":
    main()
