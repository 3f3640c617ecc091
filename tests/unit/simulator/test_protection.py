"""Control of a simulator by programs of this machine and its own pages, but no page of another site."""

import subprocess

import pytest

# The methods and paths that change something.
CONTROLS = [
    *(("POST", path) for path in ("/faults", "/fill", "/jobs", "/accounts", "/fates")),
    *(("DELETE", path) for path in ("/faults", "/jobs", "/jobs/1", "/fates")),
    *(("GET", path) for path in ("/jobs", "/requests")),
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
def test_a_program_of_this_machine_can_control_it_under_any_of_its_names(admin, sim, host, site):
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": site}
    assert admin.post("/fill", headers=headers).status_code == 200
    assert sim.free() == 0


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
    ],
)
def test_a_body_is_read_only_if_it_is_declared_as_json(admin, sim, content_type, status):
    answer = admin.post("/fill", data=b'{"seconds": 60}', headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert answer.ok or answer.json()["error"] == "Content-Type: must be application/json"
    assert sim.free() == (0 if answer.ok else 6)


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
def test_curl_can_control_it_if_it_declares_json(sim, arguments, free):
    command = ["curl", "--silent", "--noproxy", "*", *arguments, f"{sim.url}/simulator/fill"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no curl here")
    assert sim.free() == free


def test_the_api_itself_needs_the_token_only(api, sim):
    headers = {"Host": "api.example.com", "Origin": "https://example.com", "Content-Type": "text/plain"}
    assert api.post("/videos/create", data=b"{}", headers=headers).status_code == 200
