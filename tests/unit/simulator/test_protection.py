"""Who may control a simulator: programs of this machine and its own pages, but no page of another site."""

from __future__ import annotations

import subprocess

import pytest

# The methods and paths that change something.
CONTROLS = [
    ("POST", "/faults"),
    ("DELETE", "/faults"),
    ("POST", "/fill"),
    ("POST", "/jobs"),
    ("DELETE", "/jobs"),
    ("DELETE", "/jobs/1"),
    ("GET", "/jobs"),
    ("POST", "/accounts"),
    ("POST", "/fates"),
    ("DELETE", "/fates"),
    ("GET", "/requests"),
]


@pytest.mark.parametrize(("method", "path"), CONTROLS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example.com"},
        {"Host": "rebound.example.com:8900", "Origin": "http://rebound.example.com:8900"},
        {"Host": "127.0.0.1.example.com"},
        {"Host": "192.0.2.1"},
        {"Host": "127.0.0.1@example.com"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "https://example.com"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_a_page_of_another_site_can_neither_control_it_nor_look(admin, sim, method, path, headers):
    sim.start_job()
    assert admin.request(method, path, headers=headers).status_code == 403
    assert (sim.free(), sim.script.next_fault("/")) == (5, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2:8900", "LOCALHOST:8900", "[::1]:8900"])
@pytest.mark.parametrize("site", [None, "same-origin", "none"])
def test_this_machine_may_under_any_of_its_names(admin, sim, host, site):
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": site}
    assert admin.post("/fill", headers=headers).status_code == 200
    assert sim.free() == 0


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_a_body_that_is_not_declared_as_json_is_refused(admin, sim, content_type):
    answer = admin.post("/fill", data=b'{"seconds": 60}', headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["error"]) == (415, "Content-Type: must be application/json")
    assert sim.free() == 6


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_a_body_that_is_declared_as_json_is_read(admin, sim, content_type):
    assert admin.post("/fill", data=b"{}", headers={"Content-Type": content_type}).status_code == 200
    assert sim.free() == 0


@pytest.mark.parametrize(
    ("arguments", "free"),
    [
        (["-X", "POST"], 0),
        (["-X", "POST", "-d", ""], 0),
        (["-H", "Content-Type: application/json", "-d", "{}"], 0),
        (["-X", "POST", "-d", "{}"], 6),
    ],
    ids=str,
)
def test_curl_may_if_it_says_that_it_sends_json(sim, arguments, free):
    command = ["curl", "--silent", "--noproxy", "*", *arguments, f"{sim.url}/simulator/fill"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no curl here")
    assert sim.free() == free


def test_the_api_itself_asks_for_the_token_only(api, sim):
    headers = {"Host": "api.example.com", "Origin": "https://example.com", "Content-Type": "text/plain"}
    assert api.post("/videos/create", data=b"{}", headers=headers).status_code == 200
