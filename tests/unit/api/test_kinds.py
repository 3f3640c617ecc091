"""Kinds of jobs, from their ids and endpoints; parsing takes no time however odd an id is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_pixverse.api.kinds import (
    KINDS,
    JobId,
    kind_of_endpoint,
    kinds_made,
    makes_several,
    split_job_id,
    takes_seed,
)
from airflow_pixverse.api.scheduler import ExecutingJob


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
        *[(other, None) for other in ("", "17", "something else")],
    ],
)
def test_job_id_is_parsed_from_the_right(job_id, parsed):
    assert split_job_id(job_id) == (parsed and JobId(*parsed))


names = st.text(min_size=1).filter(lambda text: "-" not in text and ":" not in text)


@given(user=st.integers(1).map(str), email=st.emails(), kind=names, number=names)
def test_job_id_of_any_parts_is_split_into_them(user, email, kind, number):
    assert split_job_id(f"user:{user}-pixverse:{email}-{kind}:{number}") == (user, email, kind, number)


def test_job_id_is_parsed_in_a_bounded_number_of_steps():
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
    assert split_job_id(Counted(hostile)) is None
    assert len(searches) == 3
    assert ExecutingJob.model_validate({"id": hostile}).email is None


@pytest.mark.parametrize(
    ("endpoint", "kind", "made", "has_seed"),
    [
        ("videos/create", "video", ["video", "image"], True),
        ("videos/restyle/", "video", ["video", "image"], True),
        ("videos/upscale/", "video", ["video", "image"], False),
        ("images/create", "image", ["image"], True),
        ("music/create", "music", ["music"], False),
        ("speech/create", "speech", ["speech"], False),
        ("music-video/create", None, [], False),
        ("", None, [], False),
    ],
)
def test_endpoint_tells_its_kind_what_it_makes_and_whether_it_takes_a_seed(endpoint, kind, made, has_seed):
    assert kind_of_endpoint(endpoint) == kind
    assert kinds_made(endpoint) == {name: KINDS[name] for name in made}
    assert makes_several(endpoint) == (kind == "image")
    assert takes_seed(endpoint) == has_seed
