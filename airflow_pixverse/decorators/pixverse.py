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

    # Without the payload: what a prompt of somebody else's looks like is none of Jinja's business.
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *(name for name in PixverseSubmitOperator.template_fields if name != "payload"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = DecoratedOperator.template_fields_renderers
    custom_operator_name = "@task.pixverse"
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

    def execute(self, context: Context) -> Any:
        """Begin, or go on where an earlier try of this task has ended."""
        # Not that of the decorators, which takes the result for what the function has returned.
        return PixverseSubmitOperator.execute(self, context)

    def _payload(self, context: Context) -> Any:
        context_merge(context, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, context)
        return self.python_callable(*self.op_args, **kwargs)


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
