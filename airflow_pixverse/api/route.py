"""Which proxy and which certificates a request uses."""

from __future__ import annotations

from typing import Any

import requests


class Route:
    """
    Says how requests leave this machine.

    :param proxy: URL of an http(s) proxy; None to follow the environment.
    :param ca_bundle: file or folder of certificates to trust instead of the default ones.
    """

    def __init__(self, proxy: str | None, ca_bundle: str | None) -> None:
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._ca_bundle = ca_bundle
        self._environment = requests.Session()

    def of(self, url: str) -> dict[str, Any]:
        """Return what the adapters of ``requests`` are told of a request to ``url``."""
        settings = self._environment.merge_environment_settings(
            url, dict(self._proxies), stream=True, verify=self._ca_bundle, cert=None
        )
        return {"proxies": settings["proxies"], "verify": settings["verify"]}
