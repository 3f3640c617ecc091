"""``Retry-After``: read in both forms, and never a reason to fail."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.retry_after import seconds_to_wait

from .raw_server import RawServer, always, answer


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("17", 17), (" 17 ", 17), ("2.5", 2.5), ("3601", 3600), ("9" * 400, 3600), ("1e3", None)],
)
def test_seconds_are_read_up_to_an_hour(header, seconds):
    assert seconds_to_wait(header) == seconds


def test_a_date_in_the_past_asks_for_no_wait():
    assert seconds_to_wait("Wed, 25 Sep 2024 02:00:00 GMT") == 0


@pytest.mark.parametrize(("minutes", "seconds"), [(50, 3000), (2000, 3600)])
def test_a_date_is_read_up_to_an_hour(minutes, seconds):
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    assert seconds_to_wait(format_datetime(moment, usegmt=True)) == pytest.approx(seconds, abs=10)
    unzoned = moment.strftime("%a, %d %b %Y %H:%M:%S -0000")
    assert seconds_to_wait(unzoned) == pytest.approx(seconds, abs=10)


@pytest.mark.parametrize("header", [None, "", "soon", "-1", "nan", "inf", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_what_cannot_be_read_is_none(header):
    assert seconds_to_wait(header) is None


@given(
    st.text()
    | st.builds(
        "{}, {} {} {} {}:{}:{} {}".format,
        st.sampled_from(["Mon", "x", ""]),
        *[st.sampled_from(["1", "31", "99999999999999999999", "-1", "x"])] * 1,
        st.sampled_from(["Jan", "Feb", "0"]),
        *[st.sampled_from(["1", "0", "9999", "99999999999999999999", "-5", ""])] * 4,
        st.sampled_from(["GMT", "+9999", "-99999999999999999999", "x"]),
    )
)
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
@example("Mon, 01 Jan 9999 23:59:59 -2359")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
def test_nothing_that_a_server_writes_raises(header):
    seconds = seconds_to_wait(header)
    assert seconds is None or 0 <= seconds <= 3600


def test_an_impossible_date_does_no_harm_on_a_good_answer():
    header = "Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT\r\n"
    with RawServer(always(answer(headers=header))) as server:
        assert PixverseClient("t", server.url, max_retries=0).get_capacity().free_slots() == 0
