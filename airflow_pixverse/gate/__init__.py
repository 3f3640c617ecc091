"""
The gate: a queue for free slots that makes one poll an interval, and gives no slot to two waits.

It is asyncio only: no Airflow, no HTTP. ``capacity_gate`` holds the queue and polls. ``pacing`` decides when
to poll, ``admission`` which waits may pass, and ``leases`` which slots are kept for them.

Nothing is imported here, as DAG files import ``lease_update``, and the rest needs ``pydantic``.
"""
