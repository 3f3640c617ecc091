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
# Many times what it takes: the server asks the service once in 10 s, and the page asks the server every 5 s.
TOLD = 180_000


class Crowd(NamedTuple):
    """Tasks that wait, and the run of the DAG that they are of."""

    size: int
    run: DagRun


@pytest.fixture(scope="session")
def browser():
    """The Chromium of this machine."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        message = "Chromium is not installed; `make chromium` does so, as root on Debian"
        # A test that CI skips is one that nobody misses.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    # Chromium has no sandbox for root, and the memory that containers share is small.
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared_simulator():
    """The service that the connection ``pixverse_default`` leads to."""
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

    def gathered():
        return [wait.state for wait in airflow.outcome(run)].count("deferred")

    airflow.wait_until(lambda: gathered() == SIZE, lambda: f"all {SIZE} wait, not {gathered()}")
    return Crowd(SIZE, run)


@pytest.fixture
def sim(shared_simulator):
    """The simulator with nothing executing, nothing injected and no answer of its own."""
    shared_simulator.end_all_jobs()
    shared_simulator.clear_faults()
    shared_simulator.respond_with("scheduler/available", None)
    return shared_simulator


@pytest.fixture
def tab(airflow, browser):
    """A tab of the browser at Airflow's address, in which nothing may go wrong that the console tells of."""
    sync_api.expect.set_options(timeout=TOLD)
    context = browser.new_context(base_url=f"http://{LOOPBACK}:{airflow.web_port}", color_scheme="light")
    context.set_default_timeout(TOLD)
    tab = context.new_page()
    # Airflow 3.1 logs in by itself after a first call that is refused, which the console tells of.
    tab.goto("/")
    sync_api.expect(tab.get_by_role("button", name="Browse")).to_be_visible()
    wrong = []
    tab.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    yield tab
    context.close()
    assert wrong == []


@pytest.fixture
def page(tab, sim):
    """The capacity page, once it has an answer about ``pixverse_default``."""
    return open_page(tab, "pixverse_default")


def open_page(tab, connection):
    """Open the capacity page in a tab, and choose a connection."""
    tab.goto("/plugin/pixverse")
    tab.get_by_label("Connection", exact=True).select_option(connection)
    sync_api.expect(tab.locator("main.page")).not_to_have_attribute("aria-busy", "true")
    return tab
