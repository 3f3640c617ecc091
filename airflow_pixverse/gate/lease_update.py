"""LeaseUpdate: the outcome of a job, as its task reports it to the gate that keeps a slot for it."""

from enum import StrEnum


class LeaseUpdate(StrEnum):
    """The outcome of a submit that a slot is kept for."""

    ACCEPTED = "accepted"
    """The service has the job: the lease ends with the first poll that begins later, listed or not."""
    REFUSED = "refused"
    """The service has refused the job for now (429): the slot stays leased for a while, to no task."""
    RELEASED = "released"
    """The job will not be submitted: the lease ends at once."""
