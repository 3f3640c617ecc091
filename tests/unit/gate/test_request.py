"""What a wait may ask for."""

import math

import pytest

from airflow_pixverse.gate import WaitRequest

A = frozenset({"a@example.com"})


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "slots": [0, -1, True, 1.0, "1", None, math.nan],
        "emails": ["a@example.com", ["a@example.com"], {"a@example.com"}, frozenset({1}), 5],
        "poke_interval": [None, "60", -1, -0.1, math.nan, math.inf, -math.inf, True, 10**400],
        "exponential_backoff": [None, 1, "yes"],
        "max_wait": [None, "60", -1, math.nan, -math.inf, True, 10**400],
        "waiting_since": [None, "2026", math.nan, math.inf, True],
        "lease": ["long", -1, math.nan, math.inf, True, []],
        "connection": [None, 5],
    }.items(),
)
def test_a_field_that_cannot_be_used_is_named(field, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{field} of a wait cannot be ") as caught:
            WaitRequest(**{field: value})
        assert repr(value)[:20] in str(caught.value)


def test_a_long_value_is_cut():
    with pytest.raises(ValueError, match="x") as caught:
        WaitRequest(lease="x" * 1000)
    assert str(caught.value) == "lease of a wait cannot be '" + 99 * "x"


def test_the_limits_themselves_can_be_used():
    WaitRequest(slots=1, emails=A, poke_interval=0, max_wait=0, lease=0, waiting_since=-5, connection="c")
    WaitRequest(slots=10**6, emails=frozenset(), poke_interval=1e9, max_wait=math.inf, lease=1e9)
    WaitRequest(max_wait=5, exponential_backoff=True)


def test_it_has_the_defaults_of_the_sensor():
    assert WaitRequest() == WaitRequest(
        slots=1,
        emails=None,
        poke_interval=60.0,
        exponential_backoff=False,
        max_wait=math.inf,
        waiting_since=0.0,
        lease=None,
        connection="",
    )


@pytest.mark.parametrize(
    ("poke_interval", "lease", "seconds"),
    [(5, None, 120), (60, None, 120), (61, None, 122), (500, None, 1000), (60, 12, 12), (60, 0, 0)],
)
def test_a_lease_lasts_two_minutes_or_two_intervals_unless_told_otherwise(poke_interval, lease, seconds):
    assert WaitRequest(poke_interval=poke_interval, lease=lease).lease_seconds == seconds


def test_an_interval_grows_only_with_exponential_backoff():
    assert WaitRequest(poke_interval=10, max_wait=5).interval(1000) == 10
    growing = WaitRequest(poke_interval=10, exponential_backoff=True, max_wait=60)
    assert [growing.interval(waited) for waited in (0, 10, 30, 50, 51, 1000)] == [10, 20, 40, 60, 60, 60]
