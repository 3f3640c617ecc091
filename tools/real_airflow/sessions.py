"""
Process sessions, and how they are ended. Run as a program, this is the guard of :mod:`.processes`.

The guard reads session ids from standard input and ends those sessions when the input ends, which it does
even when the program at the other end is killed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection

import psutil

GRACE = 5.0


def members(sessions: Collection[int]) -> list[psutil.Process]:
    """Return the living processes of these sessions, whatever their process group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.Error):
            continue  # it ended meanwhile
    return found


def signal_all(sessions: Collection[int], number: signal.Signals) -> None:
    """Send a signal to all processes of these sessions."""
    for process in members(sessions):
        try:
            process.send_signal(number)
        except psutil.Error:
            continue  # it ended meanwhile


def kill(sessions: Collection[int]) -> None:
    """Kill all processes of these sessions, and those they start meanwhile."""
    while members(sessions):
        signal_all(sessions, signal.SIGKILL)
        time.sleep(0.05)


def end(sessions: Collection[int], grace: float = GRACE) -> None:
    """Ask all processes of these sessions to end, and kill those that have not after ``grace`` seconds."""
    signal_all(sessions, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while members(sessions) and time.monotonic() < deadline:
        time.sleep(0.1)
    kill(sessions)


if __name__ == "__main__":
    end({int(line) for line in sys.stdin})
