"""The parameters of a wait, from the sensor through Airflow's database to the trigger."""

import json

import pytest

from airflow_pixverse.wait_parameters import WaitParameters

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


def test_what_an_earlier_version_wrote_is_understood():
    understood = WaitParameters.parse(WRITTEN_BY_0_1_0).to_kwargs()
    assert understood == WRITTEN_BY_0_1_0 | {"ticket": False, "news": None, "state": None}
    assert WaitParameters.unknown(WRITTEN_BY_0_1_0) == []


def test_they_survive_json():
    parameters = WaitParameters(slots=3, emails=["a@example.com"], lease=5.0, waiting_since=1.5)
    assert WaitParameters.parse(json.loads(json.dumps(parameters.to_kwargs()))) == parameters


def test_state_comes_as_it_is_and_news_without_what_a_newer_version_has_added():
    state = {"payload": {"prompt": "a cat", "seeds": [1, None]}, "refusals": 2}
    news = {"reference": "one", "news": "refused"}
    parameters = WaitParameters.parse({"state": state, "news": {**news, "seconds": 5}})
    assert parameters == WaitParameters(state=state, news=news)


def test_each_has_a_default():
    assert WaitParameters.parse({}) == WaitParameters()


def test_what_a_newer_version_wrote_is_passed_over_and_named():
    kwargs = {"slots": 2, "priority": "high", "budget": 7}
    assert WaitParameters.parse(kwargs) == WaitParameters(slots=2)
    assert WaitParameters.unknown(kwargs) == ["budget", "priority"]


def test_what_looks_like_a_list_and_is_none_is_taken_as_it_is():
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
        ("news", "released"),
        ("news", {"reference": "one"}),
        ("news", {"reference": None, "news": "released"}),
        ("news", {"reference": "one", "news": "lost"}),
        ("news", nested(3000)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_one_that_cannot_be_used_is_named_in_a_short_error(name, value):
    with pytest.raises(ValueError, match=f"^{name} ") as raised:
        WaitParameters.parse({name: value})
    assert len(str(raised.value)) < 400
