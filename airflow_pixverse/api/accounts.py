"""The PixVerse accounts that are configured at useapi.net, and the plan of each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationInfo, model_validator

from airflow_pixverse.api.api_model import ApiModel, Count, Name, Number, Text, moment, objects
from airflow_pixverse.api.models import MAX_ACCOUNTS_READ
from airflow_pixverse.api.sanitizer import MAX_WORDS, one_line, shortened

_ACCOUNT_ERROR = 596
_FIRST_YEAR = 2000  # the API writes the year 1 where there is no date
# Nobody needs them, and XComs are read by many.
_CREDENTIALS = frozenset({"password", "jwt", "token"})
_BILLS = frozenset({"invoice_url", "stripe_bill_url"})


class Account(ApiModel):
    """
    One account of ``GET accounts``, as it is stored at useapi.net; PixVerse is not asked for it.

    Its password and the token of its session, which the API masks, are not read.

    :param email: the account.
    :param max_jobs: jobs it may run at once (``maxJobs``).
    :param error: its pending error, as one short line: it takes no jobs (596) until it is added again. None
        where it has none.
    :param session_expires: when its session at PixVerse ends, as the API wrote it; the API renews sessions.
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
        """When its session ends; None where the API does not say."""
        return moment(self.session_expires)


class Features(ApiModel):
    """
    The plan and the credits of an account, from ``GET features/``, which asks PixVerse for them.

    Links to its bills are not read.

    :param email: the account that was asked for.
    :param plan_name: name of its plan.
    :param expired_date: when the plan ends or is renewed, as the API wrote it.
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
        """Credits left in all; None where the API does not say."""
        parts = [self.credit_daily, self.credit_monthly, self.credit_package]
        known = [part for part in parts if part is not None]
        return sum(known) if known else None

    @property
    def expires_at(self) -> datetime | None:
        """When the plan ends or is renewed; None where the API does not say."""
        expires = moment(self.expired_date)
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
    error = account.get("error")
    if isinstance(error, dict):
        error = error.get("message") or error
    if error:
        text = error if isinstance(error, str) else json.dumps(error)
        return shortened(one_line(text), MAX_WORDS)
    return str(_ACCOUNT_ERROR) if account.get("code") == _ACCOUNT_ERROR else None


# What reads the two endpoints' JSON; the context of features says which account was asked for.
ACCOUNTS = TypeAdapter(Annotated[list[Account], objects(MAX_ACCOUNTS_READ), BeforeValidator(_by_email)])
FEATURES = TypeAdapter(Features)
