"""What a job id tells, and that reading it takes no time however odd it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_pixverse.api.endpoints import kind_of_endpoint
from airflow_pixverse.api.job_id import FOLDERS, JobId, parse_job_id
from airflow_pixverse.api.models import ExecutingJob


@pytest.mark.parametrize(
    ("job_id", "parsed"),
    [
        ("user:1234-pixverse:a@example.com-video:99", ("1234", "a@example.com", "video", "99")),
        (
            "user:1-pixverse:mary-jane-video@ex-ample.com-image:9",
            ("1", "mary-jane-video@ex-ample.com", "image", "9"),
        ),
        ("user:1-2-pixverse:a@example.com-a-new-type:1", ("1-2", "a@example.com-a-new", "type", "1")),
        ("user:-pixverse:a@example.com-video:1", ("", "a@example.com", "video", "1")),
        ("user:1-pixverse:a-pixverse:b@example.com-video:1", ("1", "a-pixverse:b@example.com", "video", "1")),
        ("user:1234-pixverse:a@example.com", None),
        ("user:1234-pixverse:a@example.com-video:", None),
        ("user:1234-pixverse:a@example.com-:1", None),
        ("user:1234-pixverse:-video:1", None),
        ("user:1234-pixverse:a-b:c:1", None),
        ("1234-pixverse:a@example.com-video:1", None),
        ("", None),
        ("17", None),
        ("something else", None),
    ],
)
def test_an_id_is_parsed_from_the_right(job_id, parsed):
    assert parse_job_id(job_id) == (parsed and JobId(*parsed))


names = st.text(min_size=1).filter(lambda text: "-" not in text and ":" not in text)


@given(user=st.integers(1).map(str), email=st.emails(), kind=names, number=names)
def test_what_an_id_is_made_of_is_found_again(user, email, kind, number):
    assert parse_job_id(f"user:{user}-pixverse:{email}-{kind}:{number}") == (user, email, kind, number)


def test_an_id_is_parsed_in_a_bounded_number_of_steps():
    """A pattern that tries again at each place takes quadratic time; this looks for each mark once."""
    searches = []

    class Counted(str):
        def partition(self, mark):
            searches.append(mark)
            return tuple(map(Counted, super().partition(mark)))

        def rpartition(self, mark):
            searches.append(mark)
            return tuple(map(Counted, super().rpartition(mark)))

    hostile = "user:" + "-pixverse:" * 10_000
    assert parse_job_id(Counted(hostile)) is None
    assert len(searches) == 3
    assert ExecutingJob.model_validate({"id": hostile}).email is None


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        ("videos/create", "video"),
        ("videos/upscale/", "video"),
        ("images/create", "image"),
        ("music/create", "music"),
        ("speech/create", "speech"),
        ("music-video/create", None),
        ("", None),
    ],
)
def test_an_endpoint_tells_the_kind_of_its_jobs(endpoint, kind):
    assert kind_of_endpoint(endpoint) == kind
    assert kind is None or kind in FOLDERS
