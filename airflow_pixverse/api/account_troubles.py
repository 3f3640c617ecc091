"""Which accounts take no jobs, and why: help for whoever reads an error, or tests a connection."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.models import email_key, email_keys

if TYPE_CHECKING:
    from airflow_pixverse.api.accounts import Account
    from airflow_pixverse.api.client import PixverseClient

MAX_ACCOUNTS_ASKED = 20

_ACCOUNT_ERROR = 596


def account_troubles(
    client: PixverseClient, emails: Iterable[str] | str | None = None, *, now: datetime | None = None
) -> list[str]:
    """
    Return which accounts have a pending error or an expired plan, a sentence each.

    Where the service does not tell, nothing is said of them: this is help, and nothing has to fail for it.
    It takes one call, and one more for each of the first 20 accounts.

    :param emails: the chosen accounts; None for all.
    :param now: a time with a zone; None for the present.
    """
    try:
        accounts = client.get_accounts()
    except PixverseError:
        return []
    wanted = None if emails is None else email_keys(emails)
    chosen = [one for one in accounts if one.email and (wanted is None or email_key(one.email) in wanted)]
    troubles = []
    for account in chosen[:MAX_ACCOUNTS_ASKED]:
        try:
            trouble = _trouble_of(client, account, now)
        except PixverseError:  # the others would hardly be told of either
            break
        troubles += [trouble] if trouble else []
    return troubles


def _trouble_of(client: PixverseClient, account: Account, now: datetime | None) -> str:
    error = account.error
    if not error:
        try:
            features = client.get_features(account.email)
        except PixverseError as refusal:
            if refusal.status != _ACCOUNT_ERROR:
                raise
            error = refusal.detail or str(_ACCOUNT_ERROR)
        else:
            if not features.is_expired(now):
                return ""
            return f"The plan of account {account.email} expired on {features.expires_at:%Y-%m-%d}"
    return f"Account {account.email} takes no jobs until it is added again at useapi.net: {error}"
