"""The tasks that the triggerer may end, and those that a worker has to."""

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_pixverse.capabilities import CALLS_SUCCESS_CALLBACKS_WITHOUT_WORKER, PUSHES_FROM_TRIGGERER
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.submission.triggerer_waits import reason_to_end_on_worker


def with_method(kind):
    """A subclass of an operator with a method that Airflow calls on a worker."""

    class Listening(kind):
        def post_execute(self, context, result=None):
            """Do something."""

    return Listening


def end(kind, **kwargs):
    """A task that the triggerer is to end."""
    return kind(**{"task_id": "t", "end_from_trigger": True} | kwargs)


def submit(kind=PixverseSubmitOperator, **kwargs):
    return end(kind, **{"payload": {"prompt": "a cat"}, "on_clear": "submit"} | kwargs)


def test_triggerer_ends_a_task_that_nothing_listens_to():
    assert end(PixverseCapacitySensor).end_from_trigger
    assert (reason_to_end_on_worker(submit()) is None) is PUSHES_FROM_TRIGGERER


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        (PixverseCapacitySensor, {"outlets": [Asset("s3://bucket/room")]}),
        (PixverseCapacitySensor, {"post_execute": lambda *_: None}),
        (with_method(PixverseCapacitySensor), {}),
    ],
    ids=["outlets", "function", "method"],
)
def test_worker_ends_a_sensor_if_only_a_worker_does_what_follows(kind, kwargs):
    assert not end(kind, **kwargs).end_from_trigger


@pytest.mark.parametrize("hook", ["pre_execute", "on_execute_callback"])
@pytest.mark.parametrize("start_from_trigger", [False, True])
def test_worker_ends_a_sensor_whose_begin_it_has_to_be_told_of(hook, start_from_trigger):
    sensor = end(PixverseCapacitySensor, start_from_trigger=start_from_trigger, **{hook: print})
    assert sensor.end_from_trigger is not start_from_trigger


@pytest.mark.parametrize("callbacks", [print, [print]], ids=["one", "list"])
def test_sensor_with_success_callbacks_ends_where_they_are_called(callbacks):
    sensor = end(PixverseCapacitySensor, on_success_callback=callbacks)
    assert sensor.end_from_trigger is CALLS_SUCCESS_CALLBACKS_WITHOUT_WORKER


def test_sensor_that_does_not_ask_for_it_has_no_reason():
    sensor = PixverseCapacitySensor(task_id="t", post_execute=lambda *_: None)
    assert sensor._reason_to_end_on_worker is None


@pytest.mark.skipif(not PUSHES_FROM_TRIGGERER, reason="a worker ends submits here")
@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [(PixverseSubmitOperator, {"post_execute": lambda *_: None}), (with_method(PixverseSubmitOperator), {})],
    ids=["function", "method"],
)
def test_worker_ends_a_submit_with_post_execute(kind, kwargs):
    assert "post_execute" in reason_to_end_on_worker(submit(kind, **kwargs))
