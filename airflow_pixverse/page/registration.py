"""What Airflow is told of the page: where it is served, and how it comes into the menu."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_pixverse import __version__
from airflow_pixverse.capabilities import HAS_PLUGIN_PAGES

URL_PREFIX = "/pixverse"
_NAME = "PixVerse capacity"


def page() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the page, as its entries of ``fastapi_apps`` and ``react_apps``; empty where there is none."""
    if not HAS_PLUGIN_PAGES or not conf.getboolean("pixverse", "page", fallback=True):
        return []
    from airflow_pixverse.page.app import new_app

    return [({"app": new_app(), "url_prefix": URL_PREFIX, "name": _NAME}, _menu_entry())]


def _menu_entry() -> dict[str, Any]:
    # Airflow 3.1 and 3.2 resolve it against their script, and 3.3 against the page: its path is absolute.
    root = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
    return {
        "name": _NAME,
        "bundle_url": f"{root}{URL_PREFIX}/page.js?v={__version__}",
        "destination": "nav",
        "category": "browse",
        "url_route": "pixverse",
    }
