"""Where a wait with ``start_from_trigger`` begins: that depends on Airflow and on what must be rendered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS

from airflow_pixverse.parameters import holds_reference, templates


def reason_to_begin_on_worker(fields: Iterable[Any]) -> str:
    """
    Return why a wait cannot begin in the trigger; nothing if it can.

    :param fields: what the task's templated parameters are set to.
    """
    fields = list(fields)
    if AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_3_PLUS:
        return "Airflow 3.0 to 3.2 cannot begin it in the trigger as it should be"
    if any(map(holds_reference, fields)):
        return "a parameter comes from another task or from mapping"
    texts = [text for value in fields for text in templates(value)]
    if texts and not AIRFLOW_V_3_3_PLUS:
        return "Airflow 2 renders no templates in the triggerer"
    if any("xcom" in text.lower() for text in texts):
        return "a template that reads XCom cannot be rendered in the triggerer"
    return ""
