"""One of the commands in scripts/, run as the Makefile runs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]


class Command:
    """A command that runs while this context manager is open; its output is read line by line."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self.wait()

    def read_until(self, text: str) -> None:
        """Read what it prints until a line with this text."""
        for line in self._process.stdout:
            self.output += line
            if text in line:
                return
        raise AssertionError(f"It ended without saying {text!r}:\n{self.output}")

    def ctrl_c(self) -> None:
        """Interrupt it, as Ctrl-C in a terminal does."""
        self._process.send_signal(signal.SIGINT)

    def wait(self) -> int:
        """Read what it prints until it ends, and return its exit code."""
        self.output += self._process.stdout.read()
        return self._process.wait()
