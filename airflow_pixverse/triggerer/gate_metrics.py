"""GateMetrics: a gate's polls and state as Airflow metrics."""


class GateMetrics:
    """
    Reports polls and state of a gate, tagged with the connection that it was made for.

    Gauges ``pixverse.gate.waiters``, ``.free_slots`` and ``.leased_slots``, the timer ``.poll_duration`` and
    the counter ``.poll_errors``.
    """

    def __init__(self, pixverse_conn_id: str) -> None:
        from airflow.providers.common.compat.sdk import Stats

        self._stats = Stats
        self._tags = {"conn_id": pixverse_conn_id}

    def record_poll(self, *, seconds: float, failed: bool) -> None:
        """Report one poll."""
        self._stats.timing("pixverse.gate.poll_duration", seconds * 1000, tags=self._tags)
        if failed:
            self._stats.incr("pixverse.gate.poll_errors", tags=self._tags)

    def record_state(self, *, waiters: int, free_slots: int, leased_slots: int) -> None:
        """Report the state after a poll that gave a snapshot."""
        self._stats.gauge("pixverse.gate.waiters", waiters, tags=self._tags)
        self._stats.gauge("pixverse.gate.free_slots", free_slots, tags=self._tags)
        self._stats.gauge("pixverse.gate.leased_slots", leased_slots, tags=self._tags)
