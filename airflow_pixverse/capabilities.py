"""
Capabilities of the installed Airflow, each fact under a name of its own.

This is the only module that compares version numbers: everything else asks for a capability. A new version of
Airflow is added by checking the facts here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.version_compat import (
    AIRFLOW_V_3_0_PLUS,
    AIRFLOW_V_3_3_PLUS,
    get_base_airflow_version_tuple,
)

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

# Pre-releases count: of 3.4.0b2, this is (3, 4, 0).
AIRFLOW_V_3_4_PLUS = get_base_airflow_version_tuple() >= (3, 4, 0)

HAS_ASSET_WATCHERS = AIRFLOW_V_3_0_PLUS
"""Triggers can be attached to assets. Airflow 2 has no asset watchers."""

CAN_START_FROM_TRIGGER = AIRFLOW_V_3_3_PLUS or not AIRFLOW_V_3_0_PLUS
"""``start_trigger_args`` are honoured. 3.1 and 3.2 ignore them, 3.0 starts the trigger without rendering."""

CAN_START_MAPPED_FROM_TRIGGER = AIRFLOW_V_3_3_PLUS
"""``start_trigger_args`` of a mapped task are honoured, the same for all its instances. 2.11 expands them."""

RENDERS_IN_TRIGGERER = AIRFLOW_V_3_3_PLUS
"""The triggerer renders the templated fields of a task that starts from its trigger, always to strings."""

# The triggerer renders in a plain Jinja environment: no macros, filters or delimiters of the DAG's own. The
# names are those that it knows and that need no call to the API server, which would block its event loop.
# ``dag`` and ``task`` are left out, since they are other objects there than on a worker.
TRIGGERER_TEMPLATE_NAMES = frozenset(
    {
        "dag_run", "data_interval_end", "data_interval_start", "ds", "ds_nodash", "logical_date", "macros",
        "params", "partition_date", "partition_key", "run_id", "task_instance_key_str", "ts", "ts_nodash",
        "ts_nodash_with_tz",
    }
)  # fmt: skip
TRIGGERER_TEMPLATE_FILTERS = frozenset({"ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"})
"""Airflow's own filters, beside those of Jinja."""

TASK_SUCCESS_EVENT_STORES_XCOM = not AIRFLOW_V_3_0_PLUS
"""``TaskSuccessEvent(xcoms=...)`` stores the values as they are. Airflow 3 stores them as a string."""

CALLS_SUCCESS_CALLBACKS_WITHOUT_WORKER = not AIRFLOW_V_3_0_PLUS
"""The DAG processor calls success callbacks of tasks that the triggerer ends. Airflow 3 calls none."""

HAS_TASK_STATE_STORE = AIRFLOW_V_3_3_PLUS
"""A task instance has a store that outlives its tries; what has an earlier id of it cannot write to it."""

CLEAR_DROPS_TASK_STATE = AIRFLOW_V_3_4_PLUS
"""
A clear of tasks in the UI or through the API deletes their state, unless the user asks to keep it.

It is kept by a clear of a whole DAG run, by ``airflow tasks clear``, and where Airflow clears by itself.
"""

HAS_TRIGGER_QUEUES = AIRFLOW_V_3_4_PLUS
"""An event trigger can name the queue of the triggerers that may run it."""

RENDERED_FIELDS_ARE_OF_A_TRY = AIRFLOW_V_3_4_PLUS
"""Rendered fields refer to a try by its id; before, to a task instance by DAG, run, task and map index."""

XCOMS_ARE_OF_A_TRY = AIRFLOW_V_3_4_PLUS
"""XComs refer to a try by its id, in a table of their own; before, to a task instance."""

HAS_PLUGIN_PAGES = get_base_airflow_version_tuple() >= (3, 1, 1)
"""Plugins can have pages in the UI. 3.1.0 has them too, but cannot resolve a connection there."""

WORKERS_HAVE_DATABASE = not AIRFLOW_V_3_0_PLUS
"""Tasks can use Airflow's database. On Airflow 3 they ask the API server."""

# How Airflow 2.11 words the end of a deferral that took too long; it has no exception class for it.
_AIRFLOW_2_DEFERRAL_TIMEOUT = "Trigger/execution timeout"


class StateStore(Protocol):
    """Store of a watcher's state for one asset (Airflow 3.3 and later)."""

    async def aget(self, key: str) -> Any:
        """Return the value of a key; None if there is none."""

    async def aset(self, key: str, value: Any) -> None:
        """Store the value of a key."""


def asset_state_stores(trigger: BaseTrigger) -> Mapping[str, StateStore]:
    """
    Return the state store of each asset that a watcher's trigger belongs to, by the name of the asset.

    Two assets with the same watcher share one trigger, and so one set of stores. Empty before Airflow 3.3.
    """
    stores = getattr(trigger, "asset_state_store", None)
    # The accessor offers the stores by asset only, and does not say publicly which assets there are.
    by_name: Mapping[str, StateStore] = getattr(stores, "_by_name", {})
    return dict(by_name)


def is_made_by_mapping(task: Any) -> bool:
    """Return whether Airflow made this task of a mapped one, which it does on the worker."""
    return bool(getattr(task, "_BaseOperator__from_mapped", False))


def has_mapped_argument(task: Any, name: str) -> bool:
    """
    Return whether a task is an instance of a mapped one, and the mapping gave it this argument.

    :param task: an operator that a worker runs.
    """
    if not is_made_by_mapping(task):
        return False
    mapped = task.dag.task_dict[task.task_id]
    of_all = mapped.expand_input.value
    if isinstance(of_all, Mapping):
        return name in of_all
    # With expand_kwargs, each instance has arguments of its own; Airflow keeps all that it was made with.
    return name in getattr(task, "_BaseOperator__init_kwargs", {}) and name not in mapped.partial_kwargs


TRIGGERER_CAPACITY = "capacity" if AIRFLOW_V_3_0_PLUS else "default_capacity"
"""The option, in the section ``triggerer``, that says how many triggers a triggerer runs at a time."""


def triggerer_capacity() -> int:
    """Return how many triggers a triggerer runs at a time, as the configuration says it."""
    from airflow.providers.common.compat.sdk import conf

    # The command line may say something else, which a trigger does not know.
    return int(conf.getint("triggerer", TRIGGERER_CAPACITY, fallback=1000))


def deferral_timeout_of(trigger: BaseTrigger) -> datetime | None:
    """Return when Airflow itself ends the deferral; None if it does not tell (before Airflow 3.3)."""
    timeout_after: datetime | None = getattr(trigger, "timeout_after", None)
    return timeout_after


def is_deferral_timeout(error: Exception) -> bool:
    """Return whether what a task is resumed with says that its deferral took too long."""
    # By name, since the class moved to another module between Airflow 3.1 and 3.2.
    kind = type(error).__name__
    return kind == "TaskDeferralTimeout" or (
        kind == "TaskDeferralError" and str(error) == _AIRFLOW_2_DEFERRAL_TIMEOUT
    )


XCOM_RETURN_KEY = "return_value"
"""The key of what a task returns."""

PUSHES_FROM_TRIGGERER = AIRFLOW_V_3_3_PLUS
"""A trigger can push an XCom for its task instance: :func:`push_from_triggerer`."""


async def push_from_triggerer(ti: Any, key: str, value: Any) -> None:
    """
    Push an XCom for a task instance so that tasks can be mapped over what it returns, as a worker does.

    The length, without which nothing is mapped, goes in by a private parameter of Airflow on every version.

    Only where ``PUSHES_FROM_TRIGGERER`` holds.

    :param ti: the task instance, as its trigger has it.
    """
    from airflow.providers.common.compat.sdk import XCom

    xcom: Any = XCom
    # All instances of a mapped task are mapped over together, by their number.
    is_mapped_over = key == XCOM_RETURN_KEY and ti.map_index < 0 and isinstance(value, (list, dict))
    length = len(value) if is_mapped_over else None
    if AIRFLOW_V_3_4_PLUS:
        await xcom._apush(ti, key, value, mapped_length=length)  # noqa: SLF001
    else:
        names = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
        await xcom.aset(key, value, **names, _mapped_length=length)


def has_custom_xcom_backend() -> bool:
    """Return whether a custom backend stores XComs; it may upload, and so block an event loop."""
    from airflow.providers.common.compat.sdk import XCom

    return bool(XCom.__name__ != "BaseXCom")
