"""Delivery: the XComs of a submit task, when its jobs are finished and when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowTaskTimeout

from airflow_pixverse.links.pixverse import XCOM_KEY as URL_KEY
from airflow_pixverse.reports.cost import Cost
from airflow_pixverse.reports.metrics import count_finished
from airflow_pixverse.reports.xcoms import COST_KEY, FAILURE_KEY, RESULT_KEY, UNFINISHED_KEY, one_or_all
from airflow_pixverse.submission.errors import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_pixverse.api.credits import AccountCredits
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.journal import NoJournal, SubmitHistory, SubmitJournal
    from airflow_pixverse.submission.task import SubmitTask
    from airflow_pixverse.waits.submit_state import SubmitState


class Delivery:
    """
    Pushes the results, the cost or the failure of a task.

    :param task: the operator.
    :param context: its context.
    :param journal: the journal of the task instance.
    """

    def __init__(self, task: SubmitTask, context: Context, journal: SubmitJournal | NoJournal) -> None:
        self._task = task
        self._context = context
        self._journal = journal
        self._log = task.log

    def push(self, key: str, value: Any) -> None:
        """Push an XCom."""
        self._context["ti"].xcom_push(key=key, value=value)

    def deliver(
        self, results: list[JobResult], state: SubmitState, known: AccountCredits | None = None
    ) -> Any:
        """
        Return the results in their JSON form, stored if that is asked for.

        :param known: credits that the triggerer has read; None to read them now.
        :raises PixverseError: none is completed.
        :raises AirflowException: they cannot be stored.
        """
        cost = self.report_cost(state, is_finished=True, known=known)
        value = one_or_all([result.to_xcom() for result in results], cost)
        self.push(RESULT_KEY, value)
        completed = [result for result in results if result.is_completed]
        finished = [result for result in results if result.is_finished]
        if not completed:
            count_finished(finished, self._task.endpoint)
            self._journal.write_end(state.job_ids, "moderated" if results[0].is_moderated else "failed")
            results[0].raise_for_failure()
        self._task.result_url = completed[0].url or ""
        self.push(URL_KEY, self._task.result_url)
        for result in finished:
            if not result.is_completed:
                self._log.warning("Job %s: %s %s", result.id, result.state, result.reason)
        self._push_unfinished([result for result in results if not result.is_finished])
        if (stored := self._store(results)) is not None:
            value = one_or_all(stored, cost)
            self.push(RESULT_KEY, value)
        # Last, so that a try which does not come to its end here counts nothing twice.
        count_finished(finished, self._task.endpoint)
        return value

    def report_cost(
        self, state: SubmitState, *, is_finished: bool = False, known: AccountCredits | None = None
    ) -> Cost:
        """Log the cost of the jobs, push it, and return it."""
        cost = Cost.of(state)
        if is_finished and self._task.report_credits:
            cost = cost.after(self._task.hook, known)
        if line := cost.describe(state.job_ids):
            self._log.info("%s", line)
        self.push(COST_KEY, cost.to_xcom())
        return cost

    def push_failure(
        self, error: BaseException, state: SubmitState, read_history: Callable[[], SubmitHistory]
    ) -> None:
        """Push the XCom ``failure``. An error of that changes nothing of how the task ends."""
        try:
            failure = failure_of(error, state.job_ids, read_history if self._task.durable else None)
            more = {"cost_credits": state.cost_credits, "map_index": self._context["ti"].map_index}
            self.push(FAILURE_KEY, failure | more)
        except Exception as push_error:  # noqa: BLE001 - each XCom backend has its own
            self._log.warning("Could not push the XCom %r: %s", FAILURE_KEY, push_error)

    def _push_unfinished(self, results: Sequence[JobResult]) -> None:
        """Log and push which jobs have no result, although others do."""
        if not results:
            return
        for result in results:
            self._log.warning(
                "Job %s has no result (%s), and the task goes on without it, since others have one. It is "
                "paid for: PixverseJobSensor waits for it. The XCom %r of this task has its id",
                result.id,
                result.state or "the API tells no state",
                UNFINISHED_KEY,
            )
        self.push(UNFINISHED_KEY, [result.id for result in results])

    def _store(self, results: list[JobResult]) -> list[dict[str, Any]] | None:
        """Return the results, stored if that is asked for. If that fails, the task must not submit again."""
        task = self._task
        try:
            return task.store_results(self._context, results)
        except (Exception, AirflowTaskTimeout) as error:  # which is no Exception
            text = f"the result is there and paid for, but not stored: {error}. "
            if task.durable:
                clear = "so does a clear" if task.on_clear == "resume" else "a clear pays again"
                text += f"A retry only stores it, and {clear}. "
            text += f"PixverseDownloadOperator stores it, too, from the XCom {RESULT_KEY!r} of this task"
            raise (AirflowException if task.durable else AirflowFailException)(text) from error
