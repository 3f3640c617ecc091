"""
The plugin that puts the capacity page into Airflow's UI.

Every process of Airflow imports this module, so it imports nothing until the API server asks. An exception in
what Airflow reads here would keep the API server from starting, so an error leaves the page out.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin

log = logging.getLogger(__name__)


class PixversePagePlugin(AirflowPlugin):
    """The page, where this version of Airflow can have it and ``[pixverse] page`` is not switched off."""

    name = "pixverse"

    @cached_property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """What serves the page and its data."""
        return [app for app, _ in self._page]

    @cached_property
    def react_apps(self) -> list[Any]:  # type: ignore[override]
        """What puts the page into the menu."""
        return [entry for _, entry in self._page]

    @cached_property
    def _page(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        try:
            from airflow_pixverse.page.registration import page

            return page()
        except Exception:
            log.exception("The PixVerse page is left out, since it could not be set up")
            return []
