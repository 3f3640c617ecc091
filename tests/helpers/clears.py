"""Clear tasks of a DAG run, as users do in the UI."""

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE


def clear(dag, task_id, run_id):
    """Clear a task of a run."""
    from airflow.models.taskinstance import TaskInstance, clear_task_instances
    from airflow.utils.session import create_session

    dag_of_airflow_2 = {"dag": dag} if WORKERS_HAVE_DATABASE else {}
    with create_session() as session:
        tis = session.query(TaskInstance).filter_by(dag_id=dag.dag_id, task_id=task_id, run_id=run_id).all()
        clear_task_instances(tis, session, dag_run_state=False, **dag_of_airflow_2)


class Clear(BaseOperator):
    """Clears another task of its run, once that has ended."""

    def __init__(self, *, cleared, first=lambda: None, **kwargs):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.cleared, self.first = cleared, first

    def execute(self, context):
        self.first()
        clear(self.dag, self.cleared, context["run_id"])
