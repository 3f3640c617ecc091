"""The queue: by turn, and in one line for each request."""

from airflow_pixverse.gate import Waiter, WaitRequest
from airflow_pixverse.gate.queues import Queue
from tests.unit.gate.service import A


def waiter(since, number, **request):
    return Waiter(WaitRequest(**request), (since, number), 0.0, 0.0, None, None)


def queue(*waiters):
    result = Queue()
    for one in waiters:
        result.add(one)
    return result


def test_the_oldest_wait_is_first_and_then_who_came_first():
    third, first, second = waiter(8, 0), waiter(5, 1), waiter(5, 2)
    waiting = queue(third, first, second)
    assert list(waiting) == [first, second, third]
    assert [waiting.place(one) for one in (first, second, third)] == [1, 2, 3]
    assert len(waiting) == 3


def test_equal_requests_share_a_line():
    one, two, other, more = (
        waiter(2, 0),
        waiter(1, 1),
        waiter(0, 2, emails=frozenset({A})),
        waiter(3, 3, slots=2),
    )
    waiting = queue(one, two, other, more)
    assert sorted(waiting.lines, key=lambda line: line[0].turn) == [[other], [two, one], [more]]


def test_who_leaves_is_gone_from_everywhere():
    first, second, third = waiter(1, 0), waiter(2, 1), waiter(3, 2)
    waiting = queue(first, second, third)
    waiting.remove(second)
    waiting.remove(second)
    assert list(waiting) == [first, third]
    assert waiting.lines == [[first, third]]
    waiting.remove(first)
    waiting.remove(third)
    assert not waiting
    assert waiting.lines == []


def test_who_was_never_there_can_be_removed():
    first = waiter(1, 0)
    waiting = queue(first)
    waiting.remove(waiter(1, 1))
    waiting.remove(waiter(0, 2))
    assert list(waiting) == [first]
