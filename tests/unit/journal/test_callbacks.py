"""Records are dropped by a success callback, beside those of the user."""

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator

from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE
from airflow_pixverse.journal import NoJournal, add_drop_callback, drop_records

DROPPING = [] if WORKERS_HAVE_DATABASE else [drop_records]


class Submit(BaseOperator):
    """An operator that drops its records."""

    def __init__(self, *, item=None, **kwargs):
        super().__init__(**kwargs)
        self.item = item
        add_drop_callback(self)


def note(context):
    """A callback of the user."""


def tell(context):
    """Another one."""


def callbacks(operator):
    """The success callbacks of an operator, however this version of Airflow holds them."""
    held = operator.on_success_callback
    return [] if held is None else [held] if callable(held) else list(held)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, []), (note, [note]), ([note, tell], [note, tell]), ((note, tell), [note, tell])],
)
def test_it_comes_before_the_callbacks_of_the_user(given, kept):
    assert callbacks(Submit(task_id="submit", on_success_callback=given)) == DROPPING + kept


def test_it_is_added_once():
    operator = Submit(task_id="submit", on_success_callback=note)
    add_drop_callback(operator)
    assert callbacks(operator) == [*DROPPING, note]


def test_it_is_added_beside_the_callbacks_of_default_args_and_not_to_them():
    own = [note]
    with DAG("callbacks", schedule=None, default_args={"on_success_callback": own}):
        first, second = Submit(task_id="first"), Submit(task_id="second")
    assert callbacks(first) == callbacks(second) == [*DROPPING, note]
    assert own == [note]


def test_each_instance_of_a_mapped_task_gets_it_and_the_mapped_task_keeps_its_own():
    with DAG("callbacks_mapped", schedule=None):
        mapped = Submit.partial(task_id="submit", on_success_callback=[note]).expand(item=["a", "b"])
    for item in ("a", "b"):
        assert callbacks(mapped.unmap({"item": item})) == [*DROPPING, note]
    assert callbacks(mapped) == [note]


def test_a_dag_with_it_can_be_serialized_and_looks_the_same_each_time():
    from airflow.serialization import serialized_objects

    with DAG("callbacks_serialized", schedule=None) as dag:
        Submit(task_id="submit", on_success_callback=note)
        Submit.partial(task_id="mapped", on_success_callback=note).expand(item=["a"])
    serialization = getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG)
    text = str(serialization.to_dict(dag))
    assert "on_success_callback" in text
    assert " at 0x" not in text  # an address would make a new version of the DAG each time it is parsed


def test_no_journal_remembers_nothing():
    journal = NoJournal()
    journal.write(object())
    journal.check_still_running()
    journal.write_end(["101"], "failed")
    assert journal.ends_for_good()
    assert journal.read_all() == []
