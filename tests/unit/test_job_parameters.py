"""The parameters of a wait for a job, from the sensor through Airflow's database to the trigger."""

import json

import pytest

from airflow_pixverse.job_parameters import JobParameters

JOB = "user:1-pixverse:a@example.com-video:7"


def test_they_survive_json():
    parameters = JobParameters(job_ids=[JOB], poke_interval=15.0, timeout=60.0, waiting_since=1.5)
    assert JobParameters.parse(json.loads(json.dumps(parameters.to_kwargs()))) == parameters


def test_all_but_the_job_have_a_default():
    assert JobParameters.parse({"job_ids": [JOB]}) == JobParameters(job_ids=[JOB])


def test_what_a_newer_version_wrote_is_passed_over_and_named():
    kwargs = {"job_ids": [JOB], "priority": "high"}
    assert JobParameters.parse(kwargs) == JobParameters(job_ids=[JOB])
    assert JobParameters.unknown(kwargs) == ["priority"]


def test_an_item_of_the_list_operator_is_understood():
    assert JobParameters.parse({"job_ids": [{"id": f" {JOB}\n", "type": "video"}]}).job_ids == [JOB]


@pytest.mark.parametrize("job_id", [None, "", "  ", 7, [JOB], {}, {"id": None}, "line\nbreak", {"id": 7}])
def test_what_is_no_job_is_named_in_a_short_error(job_id):
    with pytest.raises(ValueError, match=r"^job_ids must be the id of a job") as raised:
        JobParameters.parse({"job_ids": [job_id]})
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("kwargs", [{}, {"job_ids": None}, {"job_ids": []}, {"job_ids": JOB}], ids=str)
def test_without_a_job_there_is_nothing_to_wait_for(kwargs):
    with pytest.raises(ValueError, match=r"^job_ids must be a list"):
        JobParameters.parse(kwargs)
