"""One part of a submit task on its worker, without a DAG: from a trigger's event to the next deferral."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, TaskDeferred

from airflow_pixverse.journal import NoJournal
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from tests.helpers.submits import PROMPT


class MemoryJournal(NoJournal):
    """A journal that tells what it was given, and then what was written."""

    def __init__(self, *records):
        self._records = {record.reference: record for record in records}

    def read_all(self):
        return list(self._records.values())

    def write(self, record):
        self._records[record.reference] = record


def submitter(**kwargs):
    """A task that submits, and writes no journal."""
    return PixverseSubmitOperator(
        **{"task_id": "make", "payload": PROMPT, "deferrable": True, "durable": False} | kwargs
    )


def admitted(*emails, ahead=None, random_part="abcdefgh12345678"):
    """The event of a gate that has let a task through to accounts, the first of which is leased to it."""
    accounts = [{"email": email, "available": int(ahead is None)} for email in emails]
    more = {} if ahead is None else {"ahead": ahead}
    ticket = {"reference": random_part, "lease": 120.0} | more
    return {"status": "success", "accounts": accounts, "ticket": ticket, "waiting_since": time.time()}


def end_of_part(operator, event=None, *, try_number=1, max_tries=1, map_index=-1, xcoms=None):
    """Return the trigger that a part of a try defers to, or the error that it ends with."""
    pushed = {} if xcoms is None else xcoms
    ti = SimpleNamespace(
        dag_id="dag",
        run_id="run",
        task_id="make",
        map_index=map_index,
        try_number=try_number,
        max_tries=max_tries,
        start_date=datetime.now(UTC),
        xcom_push=lambda *, key, value: pushed.__setitem__(key, value),
    )
    context = {"ti": ti, "dag_run": SimpleNamespace(id=1)}
    try:
        if event is None:
            return operator.execute(context)
        return operator.execute_complete(context, event)
    except TaskDeferred as deferral:
        return deferral.trigger
    except (Exception, AirflowTaskTimeout) as error:  # noqa: BLE001 - which is what a test looks at
        return error


def told(trigger):
    """Return the update of the lease that a trigger has for the gate; None if it has none."""
    update = trigger.serialize()[1]["lease_update"]
    return update and update["update"]
