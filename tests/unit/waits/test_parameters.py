"""The parameters of waits, from the sensor through Airflow's database to the trigger."""

import json

import pytest

from airflow_pixverse.waits.parameters import JobParameters, WaitParameters

JOB = "user:1-pixverse:a@example.com-video:7"
WRITTEN_BY_0_1_0 = {
    "pixverse_conn_id": "pixverse_default",
    "slots": 2,
    "emails": ["a@example.com"],
    "poke_interval": 30.0,
    "exponential_backoff": False,
    "max_wait": None,
    "timeout": 3600.0,
    "execution_timeout": None,
    "waiting_since": 1764000000.0,
    "first_poll_at": None,
    "lease": None,
    "end_from_trigger": False,
    "do_xcom_push": True,
}


def nested(depth):
    """A list in a list in a list."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_parameters_that_an_earlier_version_wrote_are_understood():
    understood = WaitParameters.parse(WRITTEN_BY_0_1_0).to_kwargs()
    new = {
        "ticket": False,
        "priority_weight": 1,
        "report_credits": False,
        "lease_update": None,
        "state": None,
    }
    assert understood == WRITTEN_BY_0_1_0 | new
    assert WaitParameters.unknown(WRITTEN_BY_0_1_0) == []


@pytest.mark.parametrize(
    "parameters",
    [
        WaitParameters(slots=3, emails=["a@example.com"], lease=5.0, waiting_since=1.5),
        JobParameters(job_ids=[JOB], poke_interval=15.0, timeout=60.0, waiting_since=1.5),
    ],
)
def test_parameters_survive_json(parameters):
    assert type(parameters).parse(json.loads(json.dumps(parameters.to_kwargs()))) == parameters


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [(WaitParameters, {}), (WaitParameters, {"slots": 2}), (JobParameters, {"job_ids": [JOB]})],
)
def test_parameters_have_defaults_and_those_of_a_newer_version_are_ignored_and_named(kind, kwargs):
    newer = {"priority": "high", "budget": 7}
    assert kind.parse(kwargs) == kind.parse(kwargs | newer) == kind(**kwargs)
    assert kind.unknown(kwargs | newer) == ["budget", "priority"]


def test_state_is_kept_and_an_update_loses_the_keys_of_a_newer_version():
    state = {"payload": {"prompt": "a cat", "seeds": [1, None]}, "refusals": 2}
    update = {"reference": "one", "update": "refused"}
    parameters = WaitParameters.parse({"state": state, "lease_update": {**update, "seconds": 5}})
    assert parameters == WaitParameters(state=state, lease_update=update)
    update["looked"] = 7.5
    assert WaitParameters.parse({"lease_update": update}).lease_update == update


def test_a_text_that_looks_like_a_list_is_taken_as_it_is():
    text = "[" * 100_000
    assert WaitParameters.parse({"emails": text}).emails == [text]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pixverse_conn_id", None),
        ("pixverse_conn_id", "with\nline break"),
        ("slots", "many"),
        ("slots", 0),
        ("slots", 10**400),
        ("emails", []),
        ("emails", ["\udc80@example.com"]),
        ("poke_interval", None),
        ("poke_interval", float("nan")),
        ("poke_interval", 10**400),
        ("exponential_backoff", "no"),
        ("max_wait", -1),
        ("timeout", "soon"),
        ("execution_timeout", -1),
        ("waiting_since", "yesterday"),
        ("waiting_since", float("inf")),
        ("waiting_since", 10**400),
        ("first_poll_at", True),
        ("first_poll_at", 10**5000),
        ("slots", nested(3000)),
        ("lease", nested(3000)),
        ("lease", "long"),
        ("end_from_trigger", 1),
        ("do_xcom_push", None),
        ("ticket", "yes"),
        ("state", "{}"),
        ("state", ["a"]),
        ("lease_update", "released"),
        ("lease_update", {"reference": "one"}),
        ("lease_update", {"reference": None, "update": "released"}),
        ("lease_update", {"reference": "one", "update": "lost"}),
        ("lease_update", {"reference": "one", "update": "accepted", "looked": "long"}),
        ("lease_update", nested(3000)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_parameter_that_cannot_be_used_is_named_in_a_short_error(name, value):
    with pytest.raises(ValueError, match=f"^{name} ") as raised:
        WaitParameters.parse({name: value})
    assert len(str(raised.value)) < 400


def test_an_item_of_the_list_operator_is_understood():
    assert JobParameters.parse({"job_ids": [{"id": f" {JOB}\n", "type": "video"}]}).job_ids == [JOB]


@pytest.mark.parametrize("job_id", [None, "", "  ", 7, [JOB], {}, {"id": None}, "line\nbreak", {"id": 7}])
def test_a_job_id_that_cannot_be_used_is_named_in_a_short_error(job_id):
    with pytest.raises(ValueError, match=r"^job_ids must be the id of a job") as raised:
        JobParameters.parse({"job_ids": [job_id]})
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("kwargs", [{}, {"job_ids": None}, {"job_ids": []}, {"job_ids": JOB}], ids=str)
def test_parameters_without_a_list_of_jobs_are_refused(kwargs):
    with pytest.raises(ValueError, match=r"^job_ids must be a list"):
        JobParameters.parse(kwargs)
