"""EdgeMemory: what a watcher saw last, kept across restarts of the triggerer where Airflow can keep it."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from airflow_pixverse.capabilities import asset_state_stores

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

log = logging.getLogger(__name__)


class EdgeMemory:
    """
    Whether a watcher's accounts had room when it last looked.

    It is kept for each asset apart (Airflow 3.3 and later): two assets with the same watcher share its
    trigger, and one of them may be new.

    :param trigger: the watcher's trigger.
    :param kwargs: its serialized parameters; a watcher with others has a memory of its own.
    """

    def __init__(self, trigger: BaseTrigger, kwargs: dict[str, Any]) -> None:
        self._stores = asset_state_stores(trigger)
        digest = hashlib.sha256(json.dumps(kwargs, sort_keys=True).encode()).hexdigest()
        self._key = f"pixverse_capacity_{digest[:16]}"

    async def had_room(self) -> bool:
        """Return whether every asset was told of room last; an asset that is new was told of nothing."""
        states = [await self._get(asset) for asset in self._stores]
        return bool(states) and all(states)

    async def store(self, *, had_room: bool) -> None:
        """Keep what was seen, for each asset."""
        for asset, store in self._stores.items():
            try:
                await store.aset(self._key, had_room)
            except Exception:
                log.warning("The state of asset %r will not be known after a restart", asset, exc_info=True)

    async def _get(self, asset: str) -> bool:
        try:
            return bool(await self._stores[asset].aget(self._key))
        except Exception:
            log.warning("The state of asset %r before the restart is not known", asset, exc_info=True)
            return False
