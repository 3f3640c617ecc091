"""Backoff: how long to pause before something that failed is tried again."""

# Enough for any interval to grow to any limit that is used, and no number too large for a float.
_MOST_DOUBLINGS = 32


def backoff(times: int, *, first: float, longest: float) -> float:
    """
    Return the pause before the next try, twice as long after each failure.

    :param times: failures in a row; 1 or fewer for the first pause.
    :param first: the first pause, in seconds.
    :param longest: the longest pause, in seconds.
    """
    return min(first * 2.0 ** min(max(0, times - 1), _MOST_DOUBLINGS), longest)
