"""Time for looks that take most of a minute."""

import pytest


class Clock:
    """A clock that only goes on while somebody sleeps, and what happens then."""

    def __init__(self):
        self.now = 1000.0
        self.at = {}

    def sleep(self, seconds):
        self.now += seconds
        for moment in [moment for moment in self.at if moment <= self.now - 1000]:
            self.at.pop(moment)()

    def passed(self):
        return self.now - 1000


@pytest.fixture
def clock():
    return Clock()
