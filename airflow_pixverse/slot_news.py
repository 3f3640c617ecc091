"""News: what a task, by its trigger, tells the gate of the job that a slot is kept for."""

from enum import StrEnum


class News(StrEnum):
    """What became of the job that a slot is kept for, as its holder tells."""

    ACCEPTED = "accepted"
    """The service has it: the lease ends with the first poll that begins later, listed or not."""
    REFUSED = "refused"
    """The service has refused it for now (429): the slot stays leased for a while, to nobody."""
    RELEASED = "released"
    """It will not be submitted: the lease ends at once."""
