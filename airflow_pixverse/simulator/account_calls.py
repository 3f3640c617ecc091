"""The calls that ask about the accounts: how they are configured, and what their plans allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_pixverse.simulator.bodies import Body, Text, read_query
from airflow_pixverse.simulator.results import utc
from airflow_pixverse.simulator.state import Account, AccountError

if TYPE_CHECKING:
    from airflow_pixverse.simulator.control import Control

SECURED = "…secured…"
# What accounts have whose credits are never used up.
PLENTY = 15_000
SESSION_SECONDS = 24 * 3600


class FeaturesQuery(Body):
    """Whose plan is asked for."""

    email: Text | None = None


class AccountCalls:
    """
    The handlers.

    :param control: has the service with the accounts
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Return the routes; each may be written with or without a slash at the end."""
        return [
            web.get(prefix + "accounts{slash:/?}", self.show_accounts),
            web.get(prefix + "features{slash:/?}", self.show_features),
        ]

    async def show_accounts(self, _request: web.Request) -> web.Response:
        """Answer ``GET accounts``: it does not ask PixVerse, so it works also for an account in trouble."""
        now, _, accounts = self._control.service.snapshot()
        return web.json_response(
            {account.email: _configured(account, now + SESSION_SECONDS) for account in accounts}
        )

    async def show_features(self, request: web.Request) -> web.Response:
        """Answer ``GET features/``."""
        account = self._control.service.account(read_query(request, FeaturesQuery).email)
        if account.pending_error is not None:
            raise AccountError(f"{account.email}: {account.pending_error}")
        expires = utc(account.expires)
        return web.json_response(
            {
                "plan_name": "Premium - Monthly",
                "current_plan_type": 2,
                "credit_daily": 0,
                "credit_monthly": PLENTY if account.credits is None else account.credits,
                "credit_package": 0,
                "expired_date": expires,
                "billing_renewal_date": expires,
                "gen_simultaneously": account.max_jobs,
                "off_peak": 1,
            }
        )


def _configured(account: Account, session_ends: float) -> dict[str, Any]:
    configured: dict[str, Any] = {
        "email": account.email,
        "password": SECURED,
        "maxJobs": account.max_jobs,
        "jwt": {"ExpireTimeUTC": utc(session_ends), "token": SECURED},
    }
    return configured if account.pending_error is None else configured | {"error": account.pending_error}
