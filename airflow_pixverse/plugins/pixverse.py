"""
The plugin that puts the capacity page into Airflow's UI.

Every process of Airflow imports this module, so it imports nothing until the API server asks. An exception in
what Airflow reads here would keep the API server from starting, so an error leaves the page out.
"""

import logging
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowPlugin

log = logging.getLogger(__name__)

_URL_PREFIX = "/pixverse"
_NAME = "PixVerse capacity"  # page.js registers its component under this name


class PixversePagePlugin(AirflowPlugin):
    """The page, where this version of Airflow can have it and ``[pixverse] page`` is not switched off."""

    name = "pixverse"

    @cached_property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """The application that serves the page and its data."""
        return [app for app, _ in self._page]

    @cached_property
    def react_apps(self) -> list[Any]:  # type: ignore[override]
        """The entry of the page in the menu."""
        return [entry for _, entry in self._page]

    @cached_property
    def _page(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        try:
            return _page()
        except Exception:
            log.exception("The PixVerse page is left out, since it could not be set up")
            return []


def _page() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    from airflow.providers.common.compat.sdk import conf

    from airflow_pixverse import __version__, capabilities

    if not capabilities.HAS_PLUGIN_PAGES or not conf.getboolean("pixverse", "page", fallback=True):
        return []
    from airflow_pixverse.page.app import new_app

    # Airflow 3.1 and 3.2 resolve it against their script, and 3.3 against the page: its path is absolute.
    root = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
    entry = {
        "name": _NAME,
        "bundle_url": f"{root}{_URL_PREFIX}/page.js?v={__version__}",
        "destination": "nav",
        "category": "browse",
        "url_route": "pixverse",
    }
    return [({"app": new_app(), "url_prefix": _URL_PREFIX, "name": _NAME}, entry)]
