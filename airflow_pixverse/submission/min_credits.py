"""The floor of credits (``min_credits``): an account that has no more than that gets no job of a submit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_pixverse.api.credits import keeps_enough, read_credits
from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.submission.errors import SlotUnusableError

if TYPE_CHECKING:
    from airflow_pixverse.api.credits import CreditsClient


def account_above(
    min_credits: int,
    with_slot: Sequence[str | None],
    chosen: Callable[[], Sequence[str | None]],
    client: CreditsClient,
) -> tuple[str | None, int]:
    """
    Return the first account with a slot that has more than the floor, and its credits.

    :param with_slot: the accounts that have a slot for the job, the one that is to be used first.
    :param chosen: returns all accounts that may make it. It is called if those with a slot have too little.
    :param client: a client that does not retry.
    :raises SlotUnusableError: only others have more.
    :raises PixverseFatalError: none has more.
    :raises PixverseTransientError: it is unknown whether one has more.
    """
    from airflow_pixverse.api.scheduler import email_key

    credits_left: dict[str | None, int | None] = {}
    for email in with_slot:
        credits_left[email] = left = read_credits(client, email)
        if left is not None and keeps_enough(left, min_credits):
            return email, left
    seen = set(map(email_key, credits_left))
    credits_left |= {email: read_credits(client, email) for email in chosen() if email_key(email) not in seen}
    known = {email: left for email, left in credits_left.items() if left is not None}
    balances = ", ".join(f"{email or 'the account'} has {left}" for email, left in known.items())
    if richer := [email for email, left in known.items() if email and keeps_enough(left, min_credits)]:
        raise SlotUnusableError(
            f"{balances}, and min_credits={min_credits} lets a job go to {' or '.join(richer)} only", richer
        )
    if len(known) < len(credits_left):
        raise PixverseTransientError(
            "Nothing was submitted: the credits cannot be read, so min_credits cannot be kept to"
        )
    reserved = f"min_credits={min_credits} reserves them"
    raise PixverseFatalError(f"Nothing was submitted: {balances}, and {reserved}")
