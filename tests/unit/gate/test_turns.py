"""The order of waits: priorities, fair shares, and nobody starves."""

import math
from collections import Counter
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from airflow_pixverse.gate.turns import SECONDS_A_STEP, Turn, Turns

HOUR = SECONDS_A_STEP
_numbers = count()


def wait(dag_id="a", since=0.0, priority=1, slots=1):
    return Turn(since, next(_numbers), priority, dag_id, slots)


def order(waits, turns=None):
    return (turns or Turns()).in_order(waits, lambda turn: turn)


def serve(turns, waits, slots=1):
    """Serve the first waits, and return them."""
    served = order(waits, turns)[:slots]
    for one in served:
        turns.record_served(one)
        waits.remove(one)
    return served


def dags(waits):
    return "".join(one.dag_id for one in waits)


def test_one_dag_alone_is_served_first_come_first_served():
    first, second, third = wait(since=1), wait(since=2), wait(since=2)
    assert order([third, second, first]) == [first, second, third]


def test_single_prompt_of_a_dag_is_next_but_one_behind_a_thousand_of_another():
    backlog = [wait("a", since=number) for number in range(1000)]
    assert order([*backlog, wait("b", since=5000)])[1].dag_id == "b"


def test_dag_that_comes_back_gets_no_credit_for_the_time_that_it_was_away():
    turns, waits = Turns(), [wait("a", since=number) for number in range(20)]
    for _ in range(10):
        serve(turns, waits)
    waits += [wait("b", since=100 + number) for number in range(5)]
    assert dags(order(waits, turns))[:6] in {"ababab", "bababa"}


def test_wait_for_many_slots_counts_for_as_many_turns():
    large = [wait("a", slots=3), wait("a", since=1, slots=3)]
    small = [wait("b", since=10 + number) for number in range(6)]
    assert dags(order(large + small)) == "abbbabbb"


def test_urgent_wait_passes_a_backlog_of_a_thousand():
    backlog = [wait("a", since=number) for number in range(1000)]
    urgent = wait("b", since=2000, priority=2)
    assert order([*backlog, urgent])[0] is urgent


def test_step_of_priority_is_worth_an_hour_of_waiting():
    urgent = wait("b", since=HOUR, priority=2)
    assert order([urgent, wait(since=1)])[0] is urgent
    old = wait(since=-1)
    assert order([urgent, old]) == [old, urgent]


def test_shares_of_one_priority_do_not_count_in_another():
    turns, waits = Turns(), [wait("a", priority=9) for _ in range(10)]
    waits += [wait(dag, since=number) for number in range(4) for dag in "ab"]
    serve(turns, waits, 10)
    assert dags(order(waits, turns)) == "abababab"


def test_shares_end_when_no_wait_of_the_priority_is_left():
    turns, waits = Turns(), [wait("a") for _ in range(10)]
    serve(turns, waits, 10)
    order([], turns)
    assert not turns._served
    assert not turns._next


def test_dag_keeps_its_turn_while_its_first_waits_cannot_be_served():
    """They wait for an account that is full, or for more slots than there are."""
    turns = Turns()
    stuck, victim = [wait("a"), wait("a", since=1)], wait("a", since=2)
    waits = [*stuck, victim] + [wait("b", since=10 + number) for number in range(10)]
    served = ""
    while victim in waits:
        first = next(one for one in order(waits, turns) if one not in stuck)
        turns.record_served(first)
        waits.remove(first)
        served += first.dag_id
    assert served == "bba"


def test_remembered_dags_are_those_that_wait_or_are_ahead_of_the_last_one_served():
    turns = Turns()
    waits = [wait(f"dag {number}", since=number) for number in range(1000)] + [
        wait("a"),
        wait("a"),
        wait("b"),
    ]
    serve(turns, waits, 1003)
    waits.append(wait("b"))
    order(waits, turns)
    assert set(turns._next[1]) == {"a", "b"}


WAITS = st.builds(
    wait,
    dag_id=st.sampled_from("abcd"),
    since=st.integers(0, 10 * int(HOUR)).map(float),
    priority=st.integers(-2, 5),
    slots=st.integers(1, 4),
)


@given(st.lists(WAITS, max_size=40), st.integers(0, 40))
def test_order_within_a_dag_and_priority_is_kept_whatever_was_served(waits, served):
    turns, left = Turns(), list(waits)
    for _ in range(min(served, len(left))):
        serve(turns, left)
    ordered = order(left, turns)
    assert Counter(ordered) == Counter(left)
    for line in {(one.priority, one.dag_id) for one in left}:
        members = [one for one in ordered if (one.priority, one.dag_id) == line]
        assert members == sorted(members, key=lambda one: (one.since, one.number))


@given(st.lists(WAITS, max_size=40))
def test_order_does_not_depend_on_how_waits_come_back_after_a_restart(waits):
    assert order(waits) == order(sorted(waits, key=hash))


@given(st.integers(0, 30), st.integers(1, 30), st.integers(1, 30), st.lists(st.integers(1, 3), max_size=30))
def test_two_dags_with_work_get_equal_shares_within_one_wait(before, many, few, looks):
    turns = Turns()
    waits = [wait("a", since=number) for number in range(before + many)]
    serve(turns, waits, before)
    waits += [wait("b", since=1000 + number) for number in range(few)]
    served = Counter()
    for slots in looks:
        if {one.dag_id for one in waits} != {"a", "b"}:
            break
        for _ in range(slots):
            served[serve(turns, waits)[0].dag_id] += 1
            assert abs(served["a"] - served["b"]) <= 1
            if {one.dag_id for one in waits} != {"a", "b"}:
                break


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(2, 6)), min_size=1, max_size=4),
    st.integers(0, 3),
)
def test_wait_is_served_in_the_end_however_many_urgent_ones_come(urgent, others):
    """One slot gets free an hour, and several urgent waits come in each: more than can ever be served."""
    turns, patient = Turns(), wait("z")
    waits = [patient] + [wait("z", since=1) for _ in range(others)]
    came_before = len(urgent) * 6  # those whose head start makes them as urgent
    for hour in range(came_before * 4 + 1):
        waits += [wait(dag, since=hour * HOUR, priority=priority) for dag, priority in urgent]
        if patient in serve(turns, waits):
            return
    raise AssertionError("it starves")


def test_wait_whose_start_is_unknown_comes_last():
    unknown = wait("a", since=math.inf)
    assert order([unknown, wait("a", since=0.0)])[-1] is unknown
