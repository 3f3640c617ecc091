"""The bare loop, run as a process and measured."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from airflow_pixverse.simulator import Simulator
from benchmarks.peers.figures import Effort, Load, Weather


def run_bare_loop(load: Load, weather: Weather, sim: Simulator) -> Effort:
    """Run the loop to its end, killed and started again on the way if the weather is such."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made.json")
        loop = "benchmarks.peers.bare_loop"
        command = [sys.executable, "-m", loop, sim.url, sim.token, str(load.prompts), str(made)]
        began, cpu = time.monotonic(), _cpu_of_children()
        if weather.kills:
            with subprocess.Popen(command) as first:
                sim.wait_for_submitted(load.prompts_at_kill, load.patience)
                first.send_signal(signal.SIGKILL)
        subprocess.run(command, check=True, timeout=load.patience)
        seconds = time.monotonic() - began
        collected = frozenset(json.loads(made.read_text()))
    return Effort(collected, seconds, _cpu_of_children() - cpu, workers=1.0)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
