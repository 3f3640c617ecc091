"""``@task.pixverse`` and ``@task.pixverse_batch``: submit the payloads that a function returns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_pixverse.operators.batch import PixverseBatchOperator
from airflow_pixverse.operators.submit import PixverseSubmitOperator

__all__ = ["pixverse_batch_task", "pixverse_task"]

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, TaskDecorator

    from airflow_pixverse.batch.table import Columns


class PixverseDecoratedOperator(DecoratedOperator, PixverseSubmitOperator):
    """
    Submits the payload that a function returns. The function runs once a try, before the wait for a slot.

    :param python_callable: returns the payload.
    :param op_args: its positional arguments (templated).
    :param op_kwargs: its keyword arguments (templated).
    """

    # Without the payload: Jinja must not render prompts that other people wrote.
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *(name for name in PixverseSubmitOperator.template_fields if name != "payload"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = DecoratedOperator.template_fields_renderers
    custom_operator_name = "@task.pixverse"
    remembers_payload = True

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
        """Start, or resume where an earlier try of this task has ended."""
        # Not the decorator's execute, which would take the result for the function's return value.
        return PixverseSubmitOperator.execute(self, context)

    def _payload(self, context: Context) -> Any:
        context_merge(context, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, context)
        return self.python_callable(*self.op_args, **kwargs)

    def _mapped_values(self) -> Any:
        return [list(self.op_args), dict(self.op_kwargs)]


class PixverseBatchDecoratedOperator(DecoratedOperator, PixverseBatchOperator):
    """
    Makes each row of a table; a function returns the payload of a row.

    :param python_callable: gets a row, an object with its cells by the names of the columns, and returns its
        payload. It is called twice for each row: a payload that differs would be paid for at each run, so
        that row is refused. A ValueError or an ``AirflowFailException`` of its own refuses a row, too.
    :param op_args: further arguments (templated).
    :param op_kwargs: further keyword arguments (templated).
    """

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *(name for name in PixverseBatchOperator.template_fields if name != "payload"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = DecoratedOperator.template_fields_renderers
    custom_operator_name = "@task.pixverse_batch"

    def __init__(self, *, op_args: Collection[Any] | None = None, **kwargs: Any) -> None:
        # Airflow checks at parse that the function takes its arguments; the row comes first.
        payload: dict[str, Any] = {}  # until the function is called
        super().__init__(op_args=[_NO_ROW, *(op_args or ())], payload=payload, **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the rows that the folder does not have, and return the summary."""
        return PixverseBatchOperator.execute(self, context)

    def _payload_maker(self) -> tuple[Callable[[Columns], Any], frozenset[str]]:
        further = list(self.op_args)[1:]

        def payload(columns: Columns) -> Any:
            try:
                first, second = (
                    self.python_callable(dict(columns), *further, **self.op_kwargs) for _ in range(2)
                )
            except Exception as error:  # of the user's function: it refuses the row, and not the whole table
                name = type(error).__name__
                raise ValueError(f"{name}: {error}" if str(error) else name) from error
            if first != second:
                raise ValueError(
                    "the function returns another payload when it is called again, so each run would pay for "
                    "the row: leave out what changes, such as now() or random()"
                )
            return first

        return payload, frozenset()


_NO_ROW: dict[str, Any] = {}


def pixverse_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """
    Make a task of a function that returns the payload of a job.

    :param python_callable: returns the payload, a dict of plain JSON. It runs on a worker, again in each try.
    :param kwargs: parameters of :class:`~airflow_pixverse.operators.submit.PixverseSubmitOperator` other than
        ``payload``.
    """
    # The XCom is the result of the job, regardless of the function's annotation.
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,
        decorated_operator_class=PixverseDecoratedOperator,
        **kwargs,
    )


def pixverse_batch_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """
    Make a task of a function that returns the payload of a row.

    :param python_callable: gets a row, and returns its payload, a dict of plain JSON. It runs on a worker,
        twice for each row in each try.
    :param kwargs: parameters of :class:`~airflow_pixverse.operators.batch.PixverseBatchOperator` other than
        ``payload``.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,
        decorated_operator_class=PixverseBatchDecoratedOperator,
        **kwargs,
    )
