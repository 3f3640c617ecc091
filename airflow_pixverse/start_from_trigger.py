"""Waits with ``start_from_trigger``: how they begin in the triggerer, or why they begin on a worker."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from airflow.triggers.base import StartTriggerArgs

from airflow_pixverse.capabilities import (
    CAN_START_FROM_TRIGGER,
    RENDERS_IN_TRIGGERER,
    TRIGGERER_TEMPLATE_FILTERS,
    TRIGGERER_TEMPLATE_NAMES,
)
from airflow_pixverse.deadlines import Deadlines
from airflow_pixverse.parameters import holds_reference, templates

# These take the name of another filter or test, which may be one that the triggerer does not have.
_FILTERS_BY_NAME = frozenset({"map", "reject", "rejectattr", "select", "selectattr"})


def start_trigger_args(kwargs: dict[str, Any]) -> StartTriggerArgs:
    """
    Return how a wait for slots begins in the triggerer.

    :param kwargs: the keyword arguments of its trigger, among them ``timeout`` and ``execution_timeout``.
    """
    deadlines = Deadlines(0.0, kwargs["timeout"], kwargs["execution_timeout"])
    return StartTriggerArgs(
        trigger_cls="airflow_pixverse.triggers.pixverse.PixverseCapacityTrigger",
        trigger_kwargs=kwargs,
        next_method="execute_complete",
        timeout=timedelta(seconds=deadlines.deferral_seconds),
    )


def reason_to_begin_on_worker(fields: Iterable[Any], dag: Any) -> str | None:
    """
    Return why a wait cannot begin in the triggerer; None if it can.

    :param fields: the values of the task's templated parameters.
    :param dag: the DAG that the task belongs to; None where it is not known yet.
    """
    fields = list(fields)
    if not CAN_START_FROM_TRIGGER:
        return "Airflow 3.0 to 3.2 cannot begin it in the triggerer as it should be"
    if any(map(holds_reference, fields)):
        return "a parameter comes from another task or from mapping"
    if dag is not None and dag.jinja_environment_kwargs:
        return "the DAG has a Jinja environment of its own, which the triggerer does not have"
    texts = [text for value in fields for text in templates(value)]
    return _reason_of_templates(texts, dag) if texts else None


def _reason_of_templates(texts: list[str], dag: Any) -> str | None:
    from jinja2 import StrictUndefined

    if not RENDERS_IN_TRIGGERER:
        return "Airflow 2 renders no templates in the triggerer"
    if dag is None:
        return "it is not known yet which DAG's macros and filters its templates use"
    if dag.template_undefined is not StrictUndefined:
        return "the DAG has rules of its own for undefined names, which the triggerer does not have"
    own = {*(dag.user_defined_macros or ()), *(dag.user_defined_filters or ())}
    return next((reason for text in texts if (reason := _reason_of_template(text, own))), None)


def _reason_of_template(text: str, own: set[str]) -> str | None:
    """Return why the triggerer cannot render a template as a worker does: it knows fewer names."""
    from jinja2 import TemplateError, meta, nodes
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment()
    environment.filters.update(dict.fromkeys(TRIGGERER_TEMPLATE_FILTERS, str))
    try:
        tree = environment.parse(text)
        names = meta.find_undeclared_variables(tree)
    except TemplateError as error:
        return f"the triggerer cannot read the template {text!r}: {error.message}"
    if any(meta.find_referenced_templates(tree)):
        return f"the template {text!r} uses other templates"
    filters = {node.name for node in tree.find_all(nodes.Filter)}
    if by_name := filters & _FILTERS_BY_NAME:
        return f"the template {text!r} names filters or tests to {', '.join(sorted(by_name))}"
    tests = {node.name for node in tree.find_all(nodes.Test)}
    unknown = (
        (names - TRIGGERER_TEMPLATE_NAMES)
        | (filters - environment.filters.keys())
        | (tests - environment.tests.keys())
        | ((names | filters) & own)
    )
    if unknown:
        return f"the triggerer does not have {', '.join(sorted(unknown))}, which a template uses"
    return None
