"""EdgeMemory: the last state that a watcher saw, kept across restarts of the triggerer (Airflow 3.3)."""

import hashlib
import json
import logging
from typing import Any

from airflow.triggers.base import BaseTrigger

from airflow_pixverse.capabilities import asset_state_stores

log = logging.getLogger(__name__)


class EdgeMemory:
    """
    The last state of a watcher: whether its accounts had room.

    Each asset has a state of its own (Airflow 3.3 and later): two assets with the same watcher share its
    trigger, and one of them may be new.

    :param trigger: the watcher's trigger.
    :param kwargs: its serialized parameters; a watcher with others has a memory of its own.
    """

    def __init__(self, trigger: BaseTrigger, kwargs: dict[str, Any]) -> None:
        self._stores = asset_state_stores(trigger)
        digest = hashlib.sha256(json.dumps(kwargs, sort_keys=True).encode()).hexdigest()
        self._key = f"pixverse_capacity_{digest[:16]}"

    async def had_room(self) -> bool:
        """Return whether the last event of every asset was for room; a new asset had no event."""
        states = [await self._get(asset) for asset in self._stores]
        return bool(states) and all(states)

    async def store(self, *, had_room: bool) -> None:
        """Store the state for each asset."""
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
