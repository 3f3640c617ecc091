"""One Airflow with its UI, one simulator and one Chromium for all tests here."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from airflow_pixverse.simulator import Simulator
from tests.browser.dags.crowd import SIZE
from tools.real_airflow import Airflow, DagRun
from tools.real_airflow.ports import LOOPBACK, free_port

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="`make test-browser` installs what drives a browser"
)

DAGS = Path(__file__).parent / "dags"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CAPACITY = "**/pixverse/api/capacity*"
# Many times longer than needed: the server polls the service every 10 s, and the page the server every 5 s.
TIMEOUT = 180_000  # ms


class Crowd(NamedTuple):
    """The number of waiting tasks, and the run of their DAG."""

    size: int
    run: DagRun


@pytest.fixture(scope="session")
def browser():
    """The Chromium of this machine."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        message = "Chromium is not installed; `make chromium` does so, as root on Debian"
        # In CI, a skipped test would go unnoticed.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    # Chromium has no sandbox for root, and the memory that containers share is small.
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared_simulator():
    """The service of the connection ``pixverse_default``."""
    with Simulator({"a-1@example.com": 3, "a-2@example.com": 3}) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def airflow(browser, shared_simulator, tmp_path_factory):
    """A real Airflow with its UI."""
    with Simulator({"crowded@example.com": 4}) as full:
        full.fill()
        connections = {
            "pixverse_default": shared_simulator.connection,
            "pixverse_crowd": full.connection,
            "pixverse_bad_token": {**shared_simulator.connection, "password": "user:2-not-this-one"},
        }
        home = tmp_path_factory.mktemp("airflow")
        with Airflow(home, [DAGS], connections=connections, ui_port=free_port()) as airflow:
            yield airflow


@pytest.fixture(scope="session")
def crowd(airflow):
    """Tasks that all wait at the connection ``pixverse_crowd``."""
    run = airflow.trigger("crowd")

    def waiting():
        return [wait.state for wait in airflow.outcome(run)].count("deferred")

    airflow.wait_until(lambda: waiting() == SIZE, lambda: f"all {SIZE} wait, not {waiting()}")
    return Crowd(SIZE, run)


@pytest.fixture
def sim(shared_simulator):
    """The simulator without jobs, faults and responses of earlier tests."""
    shared_simulator.end_all_jobs()
    shared_simulator.clear_faults()
    shared_simulator.respond_with("scheduler/available", None)
    return shared_simulator


@pytest.fixture(scope="session")
def context(airflow, browser):
    """A profile of the browser that is logged in, and has cached the scripts of Airflow's UI."""
    sync_api.expect.set_options(timeout=TIMEOUT)
    context = browser.new_context(base_url=f"http://{LOOPBACK}:{airflow.web_port}", color_scheme="light")
    context.set_default_timeout(TIMEOUT)
    # Airflow 3.1 logs in by itself after a refused request, which is an error on the console.
    tab = context.new_page()
    tab.goto("/")
    sync_api.expect(tab.get_by_role("button", name="Browse")).to_be_visible()
    tab.close()
    yield context
    context.close()


@pytest.fixture
def tab(context):
    """A new tab; errors on its console fail the test."""
    tab = context.new_page()
    errors = []
    tab.on("console", lambda message: message.type == "error" and errors.append(message.text))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
    yield tab
    tab.close()
    assert errors == []


@pytest.fixture
def page(tab, sim):
    """The capacity page, once it shows ``pixverse_default``."""
    return open_page(tab, "pixverse_default")


@pytest.fixture
def crowded_page(tab, crowd):
    """The capacity page, once it shows ``pixverse_crowd``."""
    return open_page(tab, "pixverse_crowd")


@pytest.fixture
def rewrite(tab):
    """A function that lets ``change`` alter each response to the page."""

    def rewrite(change):
        def fulfill(route):
            response = route.fetch()
            body = response.json()
            change(body)
            route.fulfill(response=response, json=body)

        tab.route(CAPACITY, fulfill)

    yield rewrite
    tab.unroute_all(behavior="wait")


def open_page(tab, connection):
    """Open the capacity page in a tab, and choose a connection."""
    tab.goto("/plugin/pixverse")
    tab.get_by_label("Connection", exact=True).select_option(connection)
    sync_api.expect(tab.locator("main.page")).not_to_have_attribute("aria-busy", "true")
    return tab
