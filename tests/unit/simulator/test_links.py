"""URLs of results that expire."""

from __future__ import annotations

import pytest

from airflow_pixverse.simulator import Simulator
from tests.unit.simulator.clock import Clock


@pytest.fixture
def clock():
    return Clock(1_731_328_496.0)


@pytest.fixture
def expiring(clock):
    """A simulator whose links live for a minute, on a clock that only moves when told to."""
    with Simulator({"a-1@example.com": 8}, clock=clock, link_seconds=60) as simulator:
        yield simulator


@pytest.fixture
def fetch(expiring, connect):
    """Download from a URL, and return the status."""
    web = connect(expiring, "", path="")
    return lambda url: web.get(url.removeprefix(expiring.url)).status_code


@pytest.fixture
def result_url(expiring, connect):
    """Ask for a result, and return its URL."""
    api = connect(expiring)
    job = expiring.start_job()
    expiring.end_job(job)
    return lambda: api.get(f"/videos/{job}").json()["url"]


def test_a_link_can_be_used_until_it_expires(clock, fetch, result_url):
    url = result_url()
    clock.now += 59.9
    assert [fetch(url), fetch(url)] == [200, 200]
    clock.now += 0.1
    assert fetch(url) == 403


def test_who_asks_for_the_result_again_gets_a_fresh_link(clock, fetch, result_url):
    old = result_url()
    clock.now += 60
    fresh = result_url()
    assert (fetch(old), fetch(fresh)) == (403, 200)
    assert fresh.partition("?")[0] == old.partition("?")[0]


def test_all_links_can_be_made_to_expire_at_once(expiring, admin_of, fetch, result_url):
    one = result_url()
    expiring.expire_links()
    two = result_url()
    assert (fetch(one), fetch(two)) == (403, 200)
    assert admin_of(expiring).delete("/links").status_code == 204
    assert (fetch(two), fetch(result_url())) == (403, 200)


def test_a_link_that_was_changed_is_refused(expiring, fetch, result_url):
    other = expiring.start_job()
    expiring.end_job(other)
    url = result_url()
    path, _, query = url.partition("?")
    assert fetch(path) == 403
    assert fetch(f"{path}?expires=never&signature=") == 403
    assert fetch(url.replace("expires=17", "expires=27")) == 403
    assert fetch(url[:-1] + ("0" if url[-1] != "0" else "1")) == 403
    assert fetch(url + "%C3%A9") == 403
    assert fetch(f"{path.replace('/1.', '/2.')}?{query}") == 403
    assert fetch(url) == 200


def test_links_live_for_ever_unless_told_otherwise(sim, connect):
    job = sim.start_job()
    sim.end_job(job)
    url = connect(sim).get(f"/videos/{job}").json()["url"]
    assert url == f"{sim.url}/media/1.mp4"
    sim.expire_links()
    assert connect(sim, "", path="").get("/media/1.mp4").status_code == 200


def test_how_long_links_live_can_be_changed(expiring, admin_of, fetch, result_url, clock):
    signed = result_url()
    assert admin_of(expiring).post("/links", json={"seconds": None}).status_code == 204
    unsigned = result_url()
    assert "?" not in unsigned
    clock.now += 60
    assert (fetch(unsigned), fetch(signed)) == (200, 403)
    admin_of(expiring).post("/links", json={"seconds": 5})
    assert expiring.link_seconds == 5
    assert (fetch(unsigned), fetch(result_url())) == (403, 200)


@pytest.mark.parametrize("seconds", [-1, float("nan"), "1", True])
def test_a_time_that_is_none_is_refused(sim, seconds):
    with pytest.raises(ValueError, match=r"^link_seconds: "):
        sim.link_seconds = seconds


@pytest.fixture
def admin_of(connect):
    return lambda simulator: connect(simulator, "", path="/simulator")
