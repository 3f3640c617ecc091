"""Parameters: a bad one is refused by name at parse time, unless only rendering will tell."""

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse import parameters
from airflow_pixverse.operators.pixverse import (
    PixverseCancelOperator,
    PixverseDownloadOperator,
    PixverseListExecutingOperator,
    PixverseSubmitOperator,
)
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.submission.request import parse_payload


@pytest.mark.parametrize("slots", [0, -1, "many", "", True, 1.5, None, [], float("inf"), "0"])
def test_slots_that_cannot_be_used_are_refused_at_parse_time(slots):
    with pytest.raises(ValueError, match="slots must be a whole number of at least 1"):
        PixverseCapacitySensor(task_id="wait", slots=slots)


@pytest.mark.parametrize("max_bytes", [0, -1, "many", "5", True, 1.5, None, [], float("nan")])
def test_a_size_limit_that_cannot_be_used_is_refused(max_bytes):
    with pytest.raises(ValueError, match="max_bytes must be a whole number, 1 or more, not"):
        PixverseSubmitOperator(task_id="make", payload={}, max_bytes=max_bytes)


@pytest.mark.parametrize("result", [None, "", {}, 5, b"a", [None], {"id": None}, {"url": ""}, {"url": 5}])
def test_a_result_that_cannot_be_used_is_refused_at_parse_time(result):
    with pytest.raises(ValueError, match="result must be the id of a job"):
        PixverseDownloadOperator(task_id="store", result=result, output_path="s3://bucket/a")


def test_a_url_as_a_result_is_told_to_be_in_an_object():
    with pytest.raises(
        ValueError, match=r"result must .* such as \{'url': 'https://\.\.\.'\}, not 'http://x/a"
    ):
        PixverseDownloadOperator(task_id="store", result="http://x/a.mp4", output_path="s3://bucket/a")


def test_a_download_to_nowhere_is_refused_at_parse_time():
    with pytest.raises(ValueError, match="output_path must be a path such as"):
        PixverseDownloadOperator(task_id="store", result="a:b-video:1", output_path=None)


@pytest.mark.parametrize("emails", [[], "", " ", [""], [None], 5, {"a": 1}, b"a", ["a", 7], "[]"])
def test_emails_that_cannot_be_used_are_refused_at_parse_time(emails):
    with pytest.raises(ValueError, match="emails"):
        PixverseCapacitySensor(task_id="wait", emails=emails)


@pytest.mark.parametrize("lease", [-1, "soon", True, float("nan"), timedelta(seconds=-1)])
def test_a_lease_that_cannot_be_used_is_refused(lease):
    with pytest.raises(ValueError, match="lease must be a timedelta or seconds"):
        PixverseCapacitySensor(task_id="wait", lease=lease)


@pytest.mark.parametrize("flag", ["deferrable", "start_from_trigger", "end_from_trigger"])
def test_a_flag_of_a_sensor_that_is_none_is_refused(flag):
    with pytest.raises(ValueError, match=f"{flag} must be True or False, not 'False'"):
        PixverseCapacitySensor(task_id="wait", **{flag: "False"})


@pytest.mark.parametrize("older_than", [-1, "-5", "old", True, timedelta(days=-1), float("inf")])
def test_an_older_than_that_cannot_be_used_is_refused_at_parse_time(older_than):
    with pytest.raises(ValueError, match="older_than must be a timedelta or seconds"):
        PixverseListExecutingOperator(task_id="list", older_than=older_than)


@pytest.mark.parametrize("job_types", [5, [], [None], {"video": 1}])
def test_job_types_that_cannot_be_used_are_refused_at_parse_time(job_types):
    with pytest.raises(ValueError, match="job_types"):
        PixverseListExecutingOperator(task_id="list", job_types=job_types)


def test_templates_are_left_for_when_they_are_rendered():
    sensor = PixverseCapacitySensor(
        task_id="wait", slots="{{ params.slots }}", emails=["{{ params.email }}", "b@example.com"]
    )
    assert sensor.slots == "{{ params.slots }}"
    PixverseListExecutingOperator(
        task_id="list", older_than="{{ 60 * 60 }}", job_types="{% if 1 %}video{% endif %}"
    )


def test_the_output_of_another_task_is_left_for_when_it_is_known():
    with DAG("example", schedule=None):
        earlier = PixverseListExecutingOperator(task_id="list")
        PixverseCapacitySensor(task_id="wait", slots=earlier.output, emails=[earlier.output])


@pytest.mark.parametrize(
    ("rendered", "emails"),
    [
        (None, None),
        ("a@example.com", ["a@example.com"]),
        (" a@example.com ", ["a@example.com"]),
        (("a", "b"), ["a", "b"]),
        ("['a', 'b']", ["a", "b"]),
        ('["a"]', ["a"]),
        ("('a', 'b')", ["a", "b"]),
        ("None", None),
    ],
)
def test_emails_may_be_one_string_or_a_list_or_a_list_rendered_to_a_string(rendered, emails):
    assert parameters.parse_emails(rendered) == emails


@pytest.mark.parametrize(
    "emails", [frozenset({"b", "a"}), {"b", "a"}, dict.fromkeys("ab").keys(), iter("ab")]
)
def test_whatever_can_be_iterated_over_becomes_a_list_in_a_stable_order(emails):
    assert PixverseCapacitySensor(task_id="wait", emails=emails).emails == ["a", "b"]


@pytest.mark.parametrize("conn_id", [None, "", 5])
@pytest.mark.parametrize("operator", [PixverseCapacitySensor, PixverseListExecutingOperator])
def test_a_connection_id_that_is_none_is_refused_at_parse_time(operator, conn_id):
    with pytest.raises(ValueError, match="pixverse_conn_id"):
        operator(task_id="task", pixverse_conn_id=conn_id)


@pytest.mark.parametrize("age", [90, 90.0, "90", timedelta(seconds=90)])
def test_older_than_may_be_a_timedelta_or_seconds(age):
    assert parameters.parse_older_than(age) == timedelta(seconds=90)


JOB = "user:12-pixverse:mary-jane+1@example.com-video:34"


@pytest.mark.parametrize(
    "given", [JOB, f" {JOB}\n", {"id": JOB, "type": "video"}, str({"id": JOB, "elapsed": None}), {"id": "7"}]
)
def test_a_job_id_may_be_an_object_that_has_one_and_may_be_rendered_to_a_string(given):
    assert parameters.check_job_id(given) in {JOB, "7"}


@pytest.mark.parametrize(
    "job_id",
    [
        *["", " ", "a/b", "..", "a?b", "a#b", "a%3Ab", "a b", "a\nb", "a\x00b", "jöb", "x" * 9 + "{"],
        *[
            "None",
            None,
            7,
            True,
            b"a",
            [JOB],
            {},
            {"id": None},
            {"id": 7},
            {"id": "a/b"},
            "{'id': None}",
            "{",
        ],
    ],
)
def test_a_job_id_that_cannot_be_used_is_refused_at_parse_time(job_id):
    with pytest.raises(ValueError, match=r"^job_id must be the id of a job"):
        PixverseCancelOperator(task_id="cancel", job_id=job_id)


@pytest.mark.parametrize("job_id", ["{{ params.job }}", {"id": "{{ params.job }}"}])
def test_a_job_id_that_holds_a_template_is_left_for_when_it_is_rendered(job_id):
    assert PixverseCancelOperator(task_id="cancel", job_id=job_id).job_id == job_id


def test_a_job_id_that_is_the_output_of_another_task_is_left_for_when_it_is_known():
    with DAG("example", schedule=None):
        earlier = PixverseListExecutingOperator(task_id="list")
        PixverseCancelOperator(task_id="cancel", job_id=earlier.output)
        PixverseCancelOperator(task_id="cancel_too", job_id={"id": earlier.output})


@pytest.mark.parametrize("rendered", ["{{'a'}}", "{[1]: 2}", "{'a'}", "[", "no object", "[" * 100_000])
def test_a_payload_that_was_rendered_to_anything_else_is_refused_in_plain_words(rendered):
    with pytest.raises(ValueError, match=r"^payload must be"):
        parse_payload(rendered)
