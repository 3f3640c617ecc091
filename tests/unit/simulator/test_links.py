"""URLs of results that expire."""

import pytest

pytestmark = pytest.mark.pixverse_simulator(link_seconds=60)


@pytest.fixture
def fetch(sim, web):
    """Download from a URL, and return the status."""
    return lambda url: web.get(url.removeprefix(sim.url)).status_code


@pytest.fixture
def result_url(sim, api):
    """Ask for a result, and return its URL."""
    job = sim.start_job()
    sim.end_job(job)
    return lambda: api.get(f"/videos/{job}").json()["url"]


def test_a_link_can_be_used_for_a_minute_and_a_fresh_one_after_that(clock, fetch, result_url):
    url = result_url()
    clock.now += 59.9
    assert [fetch(url), fetch(url)] == [200, 200]
    clock.now += 0.1
    fresh = result_url()
    assert (fetch(url), fetch(fresh)) == (403, 200)
    assert fresh.partition("?")[0] == url.partition("?")[0]


def test_all_links_can_be_made_to_expire_at_once(sim, admin, fetch, result_url):
    one = result_url()
    sim.expire_links()
    two = result_url()
    assert (fetch(one), fetch(two)) == (403, 200)
    assert admin.delete("/links").status_code == 204
    assert (fetch(two), fetch(result_url())) == (403, 200)


def test_a_link_that_was_changed_is_refused(sim, fetch, result_url):
    sim.end_job(sim.start_job())
    url = result_url()
    path, _, query = url.partition("?")
    for changed in (
        path,
        f"{path}?expires=never&signature=",
        url.replace("expires=17", "expires=27"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url + "%C3%A9",
        f"{path.replace('/1.', '/2.')}?{query}",
    ):
        assert fetch(changed) == 403
    assert fetch(url) == 200


def test_the_life_of_links_can_be_changed_to_forever_and_back(sim, admin, fetch, result_url, clock):
    signed = result_url()
    assert admin.post("/links", json={"seconds": None}).status_code == 204
    unsigned = result_url()
    assert unsigned == f"{sim.url}/media/1.mp4"
    sim.expire_links()
    clock.now += 60
    assert (fetch(unsigned), fetch(signed)) == (200, 403)
    admin.post("/links", json={"seconds": 5})
    assert sim.link_seconds == 5
    assert (fetch(unsigned), fetch(result_url())) == (403, 200)
