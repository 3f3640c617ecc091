"""Put small faults ("mutants") into the rooms that nothing may go wrong in, and count those that tests find.

``[tool.mutmut]`` in pyproject.toml says which code and which tests. Every fault starts those tests that run
the function which it is in. The exit code is 1 if too few are found. `make mutants` runs this; on two cores
it takes an hour for all, a quarter for ``api/`` and ``gate/``, and a few minutes for one module.

mutmut starts the quick unit tests only. With ``--inside-airflow``, faults that those did not find are tried
with others that run the function, the quickest first, most of them inside Airflow: some twenty seconds for
one fault, so use a sample.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MUTMUT = Path(sys.executable).with_name("mutmut")
GOAL = 85.0
MISSED = {"survived", "no tests"}
SEED = 1
# A pattern of one small function: mutmut makes all faults before it tries any.
MADE_WITHOUT_TRIALS = "airflow_pixverse.api.reply_ref.x_new_random_part*"
INSIDE_AIRFLOW = ("tests/integration", "tests/unit/batch", "tests/unit/hooks")
# In all, for one fault that no test finds; a test that hangs has found one.
SECONDS_INSIDE_AIRFLOW = 45.0
HANGS_AFTER = 300.0


def main() -> int:
    """Run the faults, print what was found, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--survivors", action="store_true", help="try only those again that the last run did not find"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="try only so many, chosen at random")
    parser.add_argument(
        "--inside-airflow", action="store_true", help="try what was not found with the tests inside Airflow"
    )
    parser.add_argument(
        "patterns",
        nargs="*",
        metavar="PATTERN",
        help="only faults with such names: 'airflow_pixverse.gate.*'",
    )
    arguments = parser.parse_args()
    outcomes = tried(arguments)
    if arguments.inside_airflow:
        outcomes |= tried_inside_airflow(names(outcomes, MISSED))
    return report(outcomes)


def tried(arguments: argparse.Namespace) -> dict[str, str]:
    """Try the faults that were asked for, and return what became of each."""
    if arguments.survivors:
        run(names(matching(results(), arguments.patterns), MISSED))
        return matching(results(), arguments.patterns)
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    if arguments.sample is None:
        run(arguments.patterns)
        return matching(results(), arguments.patterns)
    run([MADE_WITHOUT_TRIALS])
    known = list(matching(results(), arguments.patterns))
    chosen = random.Random(SEED).sample(known, min(arguments.sample, len(known)))  # noqa: S311
    run(chosen)
    return {name: outcome for name, outcome in results().items() if name in set(chosen)}


def run(mutants: list[str]) -> None:
    """Try the faults of these names or patterns, or all of them where the list is empty."""
    # More than there are cores: some tests wait for a server most of the time.
    command = [str(MUTMUT), "run", "--max-children", str(2 * (os.cpu_count() or 1)), *mutants]
    # Its progress is meant for a terminal: a line that is rewritten ten times a second.
    shown = sys.stdout.isatty()
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=not shown, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout or ''}{done.stderr or ''}\nmutmut failed with {done.returncode}.")


def results() -> dict[str, str]:
    """Return what became of each fault, by name."""
    lines = subprocess.check_output([MUTMUT, "results", "--all", "true"], cwd=ROOT, text=True).splitlines()
    return dict(line.strip().split(": ", 1) for line in lines if ": " in line)


def tried_inside_airflow(mutants: list[str]) -> dict[str, str]:
    """Try faults with the tests inside Airflow that run their function, two at a time."""
    hits = functions_by_test()

    def outcome_of(mutant: str) -> str:
        function = mutant.partition("__mutmut_")[0]
        tests = quickest([hit for hit in hits.items() if function in hit[1]["functions"]])
        if not tests:
            return "no tests"
        try:
            outcome = "killed" if pytest(mutant, ["-x", *tests], timeout=HANGS_AFTER) else "survived"
        except subprocess.TimeoutExpired:
            outcome = "timeout"
        print(f"{outcome}: {mutant}", flush=True)
        return outcome

    with ThreadPoolExecutor(os.cpu_count()) as executor:
        return dict(zip(mutants, executor.map(outcome_of, mutants), strict=True))


def functions_by_test() -> dict[str, Any]:
    """Run the tests inside Airflow once, and return what each runs, with its seconds."""
    for file in (ROOT / "mutants").glob("hits-*.json"):
        file.unlink()
    pytest("stats", ["-n", "4", "-p", "scripts.mutant_hits", *INSIDE_AIRFLOW])
    found: dict[str, Any] = {}
    for file in (ROOT / "mutants").glob("hits-*.json"):
        found |= json.loads(file.read_text())
    return found


def quickest(hits: list[tuple[str, Any]]) -> list[str]:
    """Return as many tests as fit into the time for one fault, the quickest first."""
    tests: list[str] = []
    left = SECONDS_INSIDE_AIRFLOW
    for test, hit in sorted(hits, key=lambda hit: hit[1]["seconds"]):
        left -= hit["seconds"]
        if tests and left < 0:
            break
        tests.append(test)
    return tests


def pytest(mutant: str, arguments: list[str], timeout: float | None = None) -> int:
    """Run tests with one fault switched on, and return the exit code."""
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"MUTANT_UNDER_TEST": mutant}
    return subprocess.run(
        command, cwd=ROOT / "mutants", env=environment, timeout=timeout, check=False, capture_output=True
    ).returncode


def matching(outcomes: dict[str, str], patterns: list[str]) -> dict[str, str]:
    """Return the outcomes of the faults that match one of the patterns, or all of them without a pattern."""
    return {
        name: outcome
        for name, outcome in outcomes.items()
        if not patterns or any(fnmatch(name, pattern) for pattern in patterns)
    }


def names(outcomes: dict[str, str], wanted: set[str]) -> list[str]:
    """Return the names of the faults with one of the wanted outcomes."""
    return [name for name, outcome in outcomes.items() if outcome in wanted]


def report(outcomes: dict[str, str]) -> int:
    """Print the faults that were not found, and how many were; return the exit code."""
    by_module: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for name, outcome in outcomes.items():
        by_module[name.rpartition(".")[0]][outcome not in MISSED] += 1
    missed = names(outcomes, MISSED)
    for name in missed:
        print(f"{outcomes[name]}: {name}")
    print()
    for module, counts in sorted(by_module.items()):
        print(f"{module:<45} {counts[True]:>4} killed {counts[False]:>4} survived")
    if not outcomes:
        print("There was no fault to find.")
        return 1
    percentage = 100 * (len(outcomes) - len(missed)) / len(outcomes)
    print(
        f"\n{len(outcomes) - len(missed)} killed, {len(missed)} survived: {percentage:.1f} % found "
        f"(goal: at least {GOAL:g} %)\n"
        f"See one:          {MUTMUT.relative_to(ROOT)} show NAME\n"
        f"Try these again:  make mutants MUTANTS=--survivors"
    )
    return 0 if percentage >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
