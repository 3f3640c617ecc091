"""Deferral: hand a wait to the triggerer, from a worker, or without one (``start_from_trigger``)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_pixverse.capabilities import (
    CAN_START_FROM_TRIGGER,
    RENDERS_IN_TRIGGERER,
    TRIGGERER_TEMPLATE_FILTERS,
    TRIGGERER_TEMPLATE_NAMES,
)
from airflow_pixverse.parameters import holds_reference, templates
from airflow_pixverse.waits.deadlines import Deadlines, WaitingTask

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger, StartTriggerArgs

    from airflow_pixverse.waits.parameters import TriggerParameters, WaitParameters

# These take the name of another filter or test, which the triggerer may not have.
_FILTERS_BY_NAME = frozenset({"map", "reject", "rejectattr", "select", "selectattr"})


def defer_wait(
    task: WaitingTask, trigger: type[BaseTrigger], parameters: TriggerParameters, started: datetime
) -> NoReturn:
    """
    Defer a task to a trigger, which is told since when it waits, and how long it may wait.

    :param parameters: those of the wait; ``waiting_since`` is now if it is None, and ``execution_timeout`` is
        that of the task.
    :param started: when this try of the task began, which its ``execution_timeout`` counts from.
    """
    now = time.time()
    since = now if parameters.waiting_since is None else parameters.waiting_since
    deadlines = Deadlines.of_task(task, started, since=since, timeout=parameters.timeout)
    limits: dict[str, Any] = {"waiting_since": since, "execution_timeout": deadlines.execution_timeout}
    task.defer(
        trigger=trigger(**replace(parameters, **limits).to_kwargs()),
        method_name="execute_complete",
        timeout=timedelta(seconds=deadlines.deferral_seconds(now)),
    )
    raise AssertionError("a task that is deferred does not go on here")


def start_trigger_args(parameters: WaitParameters) -> StartTriggerArgs:
    """
    Return how a wait for slots begins in the triggerer without a worker.

    :param parameters: those of the wait, in which templates are not rendered yet.
    """
    from airflow.triggers.base import StartTriggerArgs

    deadlines = Deadlines(0.0, parameters.timeout, parameters.execution_timeout)
    return StartTriggerArgs(
        trigger_cls="airflow_pixverse.triggers.pixverse.PixverseCapacityTrigger",
        trigger_kwargs=parameters.to_kwargs(),
        next_method="execute_complete",
        timeout=timedelta(seconds=deadlines.deferral_seconds(0.0)),
    )


def reason_to_begin_on_worker(fields: Iterable[Any], dag: Any) -> str | None:
    """
    Return the reason why a wait cannot start in the triggerer; None if it can.

    :param fields: the values of the task's templated parameters.
    :param dag: the DAG of the task; None if unknown.
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
    """Return the reason why the triggerer, which knows fewer names, cannot render a template."""
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
