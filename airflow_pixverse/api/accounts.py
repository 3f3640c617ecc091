"""The PixVerse accounts that are configured at useapi.net, their plans, and the problems that block them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationInfo, model_validator

from airflow_pixverse.api.api_model import (
    ApiModel,
    Count,
    Name,
    Number,
    Text,
    first_objects,
    message_of,
    parse_iso,
)
from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.http.sanitizer import one_line, shortened
from airflow_pixverse.api.scheduler import email_key, email_keys

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient

MAX_ACCOUNTS_ASKED = 20

MAX_ACCOUNTS_LISTED = 1_000
"""Accounts of ``GET accounts`` that are read."""
_ACCOUNT_ERROR = 596
_FIRST_YEAR = 2000  # the API writes the year 1 where there is no date
# No task needs them, and many users can read XComs.
_CREDENTIALS = frozenset({"password", "jwt", "token"})
_BILLS = frozenset({"invoice_url", "stripe_bill_url"})


class Account(ApiModel):
    """
    An account of ``GET accounts``, as it is stored at useapi.net; the API does not ask PixVerse for it.

    Its password and the token of its session, which the API masks, are not read.

    :param email: the account.
    :param max_jobs: jobs it may run at once (``maxJobs``).
    :param error: its pending error, as one short line: it takes no jobs (596) until it is added again. None
        for no error.
    :param session_expires: end of its session at PixVerse, as the API wrote it; the API renews sessions.
    """

    email: Name | None = None
    max_jobs: Count = Field(default=None, alias="maxJobs")
    error: Text | None = None
    session_expires: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _leave_out_credentials(cls, item: Any) -> Any:
        if not isinstance(item, dict):
            return item
        session = item.get("jwt")
        fields = {key: value for key, value in item.items() if key not in _CREDENTIALS}
        if isinstance(session, dict):
            fields["session_expires"] = session.get("ExpireTimeUTC")
        return fields | {"error": _error_of(item)}

    @property
    def session_expires_at(self) -> datetime | None:
        """End of its session; None if unknown."""
        return parse_iso(self.session_expires)


class Features(ApiModel):
    """
    The plan and the credits of an account, from ``GET features/``: the API asks PixVerse for them.

    Links to its bills are not read.

    :param email: the requested account.
    :param plan_name: name of its plan.
    :param expired_date: end or renewal of the plan, as the API wrote it.
    :param credit_daily: credits left of those of the day.
    :param credit_monthly: credits left of those of the month.
    :param credit_package: credits left that were bought in addition.
    :param gen_simultaneously: jobs that PixVerse runs for it at once.
    """

    email: Name | None = None
    plan_name: Text | None = None
    expired_date: Text | None = None
    credit_daily: Number = None
    credit_monthly: Number = None
    credit_package: Number = None
    gen_simultaneously: Number = None

    @model_validator(mode="before")
    @classmethod
    def _name_the_account(cls, item: Any, info: ValidationInfo) -> Any:
        if not isinstance(item, dict):
            return item
        fields = {key: value for key, value in item.items() if key not in _BILLS}
        return fields | {"email": (info.context or {}).get("email") or item.get("email")}

    @property
    def credits(self) -> int | None:
        """All credits that are left; None if unknown."""
        parts = [self.credit_daily, self.credit_monthly, self.credit_package]
        known = [part for part in parts if part is not None]
        return sum(known) if known else None

    @property
    def expires_at(self) -> datetime | None:
        """End or renewal of the plan; None if unknown."""
        expires = parse_iso(self.expired_date)
        return expires if expires and expires.year >= _FIRST_YEAR else None

    def is_expired(self, now: datetime | None = None) -> bool:
        """
        Return whether the plan has ended.

        :param now: a time with a zone; None for the present.
        """
        return self.expires_at is not None and self.expires_at < (now or datetime.now(UTC))


def _by_email(accounts: Any) -> Any:
    """Return the accounts as a list; the API keys them by their e-mails."""
    if not isinstance(accounts, dict):
        return accounts
    return [
        {"email": email} | {key: value for key, value in account.items() if value is not None}
        if isinstance(account, dict)
        else account
        for email, account in accounts.items()
    ]


def _error_of(account: dict[str, Any]) -> str | None:
    if error := message_of(account.get("error")):
        return shortened(one_line(error))
    return str(_ACCOUNT_ERROR) if account.get("code") == _ACCOUNT_ERROR else None


# Parsers of the JSON of the two endpoints; the context of features names the requested account.
ACCOUNTS = TypeAdapter(
    Annotated[list[Account], first_objects(MAX_ACCOUNTS_LISTED), BeforeValidator(_by_email)]
)
FEATURES = TypeAdapter(Features)


def account_problems(
    client: PixverseClient, emails: Iterable[str] | str | None = None, *, now: datetime | None = None
) -> list[str]:
    """
    Return which accounts have a pending error or an expired plan, a sentence each.

    This is help for an error message, so an error of the service ends the list early and is not raised. It
    takes one call, and one more for each of the first 20 accounts.

    :param emails: the chosen accounts; None for all accounts.
    :param now: a time with a zone; None for the present.
    """
    try:
        accounts = client.get_accounts()
    except PixverseError:
        return []
    wanted = None if emails is None else email_keys(emails)
    chosen = [one for one in accounts if one.email and (wanted is None or email_key(one.email) in wanted)]
    problems = []
    for account in chosen[:MAX_ACCOUNTS_ASKED]:
        try:
            problem = _problem_of(client, account, now)
        except PixverseError:  # the calls for the other accounts would hardly succeed
            break
        problems += [problem] if problem else []
    return problems


def _problem_of(client: PixverseClient, account: Account, now: datetime | None) -> str:
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
