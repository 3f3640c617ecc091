"""``@task.pixverse``: a function returns what is to be made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_pixverse.capabilities import RENDERED_FIELDS_MAY_CHANGE
from airflow_pixverse.operators.submit import PixverseSubmitOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, TaskDecorator


class PixverseDecoratedOperator(DecoratedOperator, PixverseSubmitOperator):
    """
    Submits what a function returns. The function runs once a try, before the task waits for a slot.

    :param python_callable: returns the payload.
    :param op_args: its positional arguments (templated).
    :param op_kwargs: its keyword arguments (templated).
    """

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *PixverseSubmitOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **PixverseSubmitOperator.template_fields_renderers,
    }
    custom_operator_name = "@task.pixverse"
    overwrite_rtif_after_execution = RENDERED_FIELDS_MAY_CHANGE  # which then show the payload
    _remembers_payload = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            payload={},  # until the function is called
            **kwargs,
        )

    def _payload(self, context: Context) -> Any:
        context_merge(context, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, context)
        # It is not rendered: what a prompt of somebody else's looks like is none of Jinja's business.
        self.payload = self.python_callable(*self.op_args, **kwargs)
        return self.payload


def pixverse_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """
    Make a task of a function that returns the payload of a job.

    :param python_callable: returns the payload, a dict of plain JSON. It runs on a worker, anew in each try.
    :param kwargs: parameters of :class:`~airflow_pixverse.operators.submit.PixverseSubmitOperator` other than
        ``payload``.
    """
    # The XCom is the result of the job, whatever the function's annotation says.
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,
        decorated_operator_class=PixverseDecoratedOperator,
        **kwargs,
    )
