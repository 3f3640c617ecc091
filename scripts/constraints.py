"""Write `constraints/airflow-VERSION.txt`: the packages that `make install` sets that Airflow up with.

A file holds the newest packages that this version of Airflow runs with, for every Python from 3.11 on, and
nothing of where they came from. Without a version, all the files there are get made anew.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "constraints"

# A series of Airflow installs with these, but does not run with them. Each was seen only when every component
# was started and a DAG was run, with a scheduler and with `airflow dags test`: do so after making a new file.
BOUNDS: dict[str, tuple[str, ...]] = {
    "2.11": (),
    "3.0": (
        # Its tasks send JSON without a Content-Type, which 0.132 answers with 422: every task fails. This
        # also keeps Starlette below 1, whose templates take other arguments: the UI answers 500.
        "fastapi<0.132",
        # It signs tokens with no string as issuer, which 2.11 refuses: logging in answers 500.
        "pyjwt<2.11",
        # With 0.3, no ObjectStoragePath other than of a local file can be made: TypeError.
        "universal-pathlib<0.3",
    ),
    "3.1": (),
    "3.2": (
        # With 0.137, or a later one and Cadwyn 8, the API server and the DAG processor exit at the start.
        # Airflow 3.3 has this bound itself.
        "fastapi<0.137",
        # 26.2 takes its registry back from an app that Airflow still uses: `airflow dags test` fails.
        "svcs<26.2",
    ),
    "3.3": (),
    "3.4": (),
}

GROUPS = ("test", "lint", "browser", "docs")

# These would make the outcome depend on the machine.
OTHER_SOURCES = ("UV_CONSTRAINT", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX", "UV_OVERRIDE")

# A name, a version and where it holds: there is no room for an address or a path.
PIN = re.compile(r"[a-z0-9-]+==[\w.+]+( ; [\w.'<>=!* ()]+)?")


def resolve(uv: str, version: str) -> list[str]:
    """Return the pins of all that is installed beside the project with that version of Airflow."""
    bounds = BOUNDS.get(version.rpartition(".")[0], ())
    environment = {name: value for name, value in os.environ.items() if name not in OTHER_SOURCES}
    with tempfile.TemporaryDirectory() as directory:
        constraints = Path(directory) / "constraints.txt"
        constraints.write_text("\n".join((f"apache-airflow=={version}", *bounds)), encoding="utf-8")
        command = [uv, "pip", "compile", "--quiet", "--no-config", "--universal", "--python-version", "3.11"]
        command += ["--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--extra", "simulator", *(f"--group={group}" for group in GROUPS)]
        command += ["--constraint", str(constraints), "pyproject.toml"]
        pins = subprocess.check_output(command, cwd=ROOT, env=environment, text=True).splitlines()
    if strange := [pin for pin in pins if not PIN.fullmatch(pin)]:
        raise SystemExit(f"Airflow {version}: more than a name, a version and a marker: {strange}")
    return pins


def main() -> None:
    """Write the files of the versions on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--uv", default=shutil.which("uv"), help="path of uv (default: the one on PATH)")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help="a version of Airflow, such as 3.3.2")
    arguments = parser.parse_args()
    if arguments.uv is None:
        parser.error("uv is not on PATH; say where it is with --uv")
    existing = [path.stem.removeprefix("airflow-") for path in sorted(DIRECTORY.glob("airflow-*.txt"))]
    for version in arguments.versions or existing:
        path = DIRECTORY / f"airflow-{version}.txt"
        path.write_text("\n".join((*resolve(arguments.uv, version), "")), encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
