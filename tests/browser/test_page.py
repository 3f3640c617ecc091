"""The capacity page in a real browser, inside a real Airflow."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from airflow_pixverse.simulator import faults
from tests.browser.conftest import open_page

HOSTILE = "<img src=x onerror=alert(1)>"
CAPACITY = "**/pixverse/api/capacity*"


def tile(page, name):
    return page.locator(".tile").filter(has_text=name).locator(".number")


def waits(page):
    return page.get_by_role("table", name="Tasks that wait for a slot").get_by_role("row")


def jobs(page):
    return page.get_by_role("table", name="Jobs that execute").get_by_role("row")


def warning(page, title):
    return page.get_by_role("listitem").filter(has_text=title)


def told(page):
    """The next answer that the page gets."""
    return page.expect_response(lambda response: "/pixverse/api/capacity" in response.url)


def rewrite(page, change):
    """Let ``change`` alter every answer before the page gets it."""

    def answer(route):
        response = route.fetch()
        body = response.json()
        change(body)
        route.fulfill(response=response, json=body)

    page.route(CAPACITY, answer)


def refresh(page):
    with told(page):
        page.get_by_role("button", name="Refresh").click()


# What it shows


def test_it_is_in_the_menu(tab, sim):
    tab.goto("/")
    tab.get_by_role("button", name="Browse").click()
    tab.get_by_role("menuitem", name="PixVerse capacity").click()
    expect(tab.get_by_role("heading", name="PixVerse capacity")).to_be_visible()
    assert tab.url.endswith("/plugin/pixverse")


def test_the_numbers_follow_the_service(page, sim):
    expect(tile(page, "Free slots")).to_have_text("6")
    expect(page.get_by_text("No job executes.")).to_be_visible()

    job = sim.start_job("a-1@example.com", type="image")
    expect(tile(page, "Free slots")).to_have_text("5")
    expect(tile(page, "Executing")).to_have_text("1")
    expect(page.get_by_role("listitem").filter(has_text="a-1@example.com")).to_contain_text(
        "1 of 3 slots in use"
    )
    expect(jobs(page).nth(1)).to_contain_text("Image")
    expect(jobs(page).nth(1)).to_contain_text("somebody else")

    sim.end_job(job)
    expect(tile(page, "Free slots")).to_have_text("6")
    expect(jobs(page)).to_have_count(0)
    expect(
        page.get_by_role("img", name=re.compile("Free slots: between 5 and 6 in .*, now 6"))
    ).to_be_visible()


def test_a_crowd_that_waits_is_listed_in_order_and_searched(tab, crowd):
    page = open_page(tab, "pixverse_crowd")
    expect(tile(page, "Waiting")).to_have_text(str(crowd.size))
    expect(tile(page, "Free slots")).to_have_text("0")
    shown = min(crowd.size, 50)
    expect(waits(page)).to_have_count(1 + shown)
    places = [row.get_by_role("cell").first.inner_text() for row in waits(page).all()[1:]]
    assert places == [str(number + 1) for number in range(shown)]
    if crowd.size > shown:
        page.get_by_role("button", name=f"Show {crowd.size - shown} more of {crowd.size}").click()
        expect(waits(page)).to_have_count(1 + crowd.size)

    page.get_by_role("searchbox").fill("WAIT_003")
    expect(waits(page)).to_have_count(2)
    expect(waits(page).nth(1)).to_contain_text("crowd › wait_003")
    expect(waits(page).nth(1)).to_contain_text("2 slots")
    expect(page.get_by_role("status").filter(has_text="1 waiting task found")).to_be_attached()
    page.get_by_role("searchbox").fill("no such task")
    expect(
        page.get_by_text(f"None of the {crowd.size} tasks that wait matches “no such task”.")
    ).to_be_visible()


def test_a_link_leads_to_the_task_without_loading_airflow_anew(tab, crowd):
    page = open_page(tab, "pixverse_crowd")
    page.evaluate("globalThis.stillHere = true")
    page.get_by_role("link", name="crowd › wait_002").click()
    page.wait_for_url(f"**/dags/crowd/runs/{crowd.run.run_id}/tasks/wait_002")
    expect(page.get_by_text("wait_002").first).to_be_visible()
    assert page.evaluate("globalThis.stillHere")
    page.go_back()
    expect(tile(page, "Waiting")).to_have_text(str(crowd.size))
    expect(page.get_by_label("Connection", exact=True)).to_have_value("pixverse_crowd")


def test_text_of_the_service_is_shown_as_text(page, sim):
    account = {"email": HOSTILE, "maxJobs": 2, "executing": 1, "available": 1}
    job = {"id": f"1:{HOSTILE}", "type": HOSTILE, "email": HOSTILE}
    sim.respond_with("scheduler/available", {"executing": [job], "available": [account]})
    expect(page.get_by_role("listitem").filter(has_text=HOSTILE)).to_be_visible()
    expect(jobs(page).nth(1)).to_contain_text(HOSTILE)
    assert page.locator("main.page img").count() == 0


def test_names_of_dags_tasks_and_runs_are_shown_as_text_and_their_links_lead_to_airflow(page):
    wait = {"dag_id": HOSTILE, "task_id": "../x", "run_id": "javascript:alert(1)", "map_index": 3}
    wait |= {
        "place": 1,
        "slots": 1,
        "emails": [HOSTILE],
        "since": 0,
        "times_out_at": None,
        "mode": "deferred",
    }
    rewrite(page, lambda body: body["waits"].update(total=1, found=1, shown=[wait], longest_since=0))
    link = page.get_by_role("link", name=f"{HOSTILE} › ../x [3]")
    expect(link).to_be_visible()
    expect(link).to_have_attribute(
        "href",
        "/dags/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E/runs/javascript%3Aalert(1)/tasks/..%2Fx/mapped/3",
    )
    assert page.locator("main.page img").count() == 0
    page.unroute_all(behavior="wait")


def test_the_whole_name_of_the_task_that_submitted_a_job_is_read(page, sim):
    sim.start_job("a-1@example.com")
    task = {"dag_id": "nightly_shots", "run_id": "manual", "task_id": "make_the_video", "map_index": 3}
    rewrite(page, lambda body: [job.update(task=task) for job in body["capacity"]["executing"]])
    link = page.get_by_role("link", name="nightly_shots › make_the_video [3]")
    expect(link).to_be_visible()
    assert link.evaluate("node => node.scrollWidth <= node.clientWidth")
    page.unroute_all(behavior="wait")


# What is wrong


def test_an_api_that_is_down_is_told_and_the_last_snapshot_stays(page, sim):
    sim.start_job("a-1@example.com")
    expect(tile(page, "Free slots")).to_have_text("5")
    sim.inject(faults.status(503), times=None)
    told_of = warning(page, "PixVerse answers with an error")
    expect(told_of).to_contain_text("What is below is what it said last.")
    expect(tile(page, "Free slots")).to_have_text("5")
    expect(page.get_by_role("status").filter(has_text="PixVerse answers with an error")).to_be_attached()
    sim.clear_faults()
    expect(told_of).to_have_count(0)


def test_a_bad_token_is_told_with_what_to_do(tab, sim):
    page = open_page(tab, "pixverse_bad_token")
    told_of = warning(page, "PixVerse refuses the API token")
    expect(told_of).to_be_visible()
    assert "not-this-one" not in page.locator("main.page").inner_text()
    told_of.get_by_role("link", name="Open the connections").click()
    page.wait_for_url("**/connections")


@pytest.mark.parametrize(
    ("change", "title", "what_to_do"),
    [
        (
            lambda body: (body.update(triggerers=0), body["waits"].update(total=1, hidden=1)),
            "No triggerer is alive",
            "airflow triggerer",
        ),
        (lambda body: body.update(triggerers=2), "2 triggerers are alive", "the order of its own triggerer"),
        (
            lambda body: body["capacity"]["accounts"][0].update(error="Update password"),
            "The account a-1@example.com is in error",
            "Update password",
        ),
        (
            lambda body: body.update(connections=[], connection=None, capacity=None, taken_at=None),
            "There is no connection to PixVerse yet",
            "Add a connection",
        ),
        (
            lambda body: body["capacity"].update(accounts=[], free=0, total=0),
            "This API token has no PixVerse account",
            "Add one at useapi.net",
        ),
    ],
    ids=["no triggerer", "several triggerers", "account in error", "no connection", "no account"],
)
def test_what_is_wrong_is_said_in_words_with_what_to_do(page, change, title, what_to_do):
    rewrite(page, change)
    refresh(page)
    main = page.locator("main.page")
    expect(main).to_contain_text(title)
    expect(main).to_contain_text(what_to_do)
    page.unroute_all(behavior="wait")


def test_tasks_that_ask_for_more_than_there_is_are_named(tab, crowd):
    page = open_page(tab, "pixverse_crowd")
    rewrite(page, lambda body: body["waits"].update(too_large=[body["waits"]["shown"][0] | {"slots": 50}]))
    told_of = warning(page, "Some tasks ask for more slots than there are")
    expect(told_of.get_by_role("link", name="crowd › wait_000")).to_be_visible()
    expect(told_of).to_contain_text("50 slots")
    page.unroute_all(behavior="wait")


# For everyone


def problems(page):
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(tab, crowd, theme):
    tab.emulate_media(color_scheme=theme)
    page = open_page(tab, "pixverse_crowd")
    expect(waits(page).nth(1)).to_be_visible()
    assert problems(page) == []
    page = open_page(tab, "pixverse_bad_token")
    expect(warning(page, "PixVerse refuses the API token")).to_be_visible()
    assert problems(page) == []


def test_it_has_the_colours_of_airflow_in_light_and_dark(page):
    colour = "node => getComputedStyle(node).color"
    main, body = page.locator("main.page"), page.locator("body")
    light = main.evaluate(colour)
    assert light == body.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    expect(main).not_to_have_css("color", light)
    assert main.evaluate(colour) == body.evaluate(colour)


def test_focus_and_selection_survive_a_refresh_and_the_rows_before_them_leaving(tab, crowd):
    page = open_page(tab, "pixverse_crowd")
    link = page.get_by_role("link", name="crowd › wait_004")
    link.focus()
    link.evaluate("node => getSelection().selectAllChildren(node.nextSibling)")
    rewrite(page, lambda body: body["waits"]["shown"].pop(0))
    with told(page):  # by itself, as a click would take the focus
        pass
    expect(page.get_by_role("link", name="crowd › wait_000")).to_have_count(0)
    expect(link).to_be_focused()
    assert page.evaluate("getSelection().toString()") == crowd.run.run_id
    page.unroute_all(behavior="wait")


def test_everything_is_reached_with_the_keyboard(tab, crowd):
    page = open_page(tab, "pixverse_crowd")
    page.get_by_label("Connection", exact=True).focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Refresh")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="crowd › wait_000")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/wait_000")


def test_the_live_region_is_silent_while_only_numbers_change(page, sim):
    status = page.locator("main.page [role=status]")
    said = status.inner_text()
    status.evaluate("node => { node.heard = 0; }")
    status.evaluate("node => new MutationObserver(() => node.heard++).observe(node, { childList: true })")
    sim.start_job()
    expect(tile(page, "Executing")).to_have_text("1")
    assert status.inner_text() == said
    assert status.evaluate("node => node.heard") == 0


def test_it_fits_a_narrow_screen(tab, crowd):
    tab.set_viewport_size({"width": 390, "height": 800})
    page = open_page(tab, "pixverse_crowd")
    expect(waits(page).nth(1)).to_contain_text("crowd › wait_000")
    main = page.locator("main.page")
    assert main.evaluate("node => node.scrollWidth <= node.clientWidth")
    assert page.get_by_role("table", name="Tasks that wait for a slot").get_by_role("cell").count()


# How it asks


def test_it_asks_nothing_while_it_is_hidden(tab, sim):
    tab.clock.install()
    page = open_page(tab, "pixverse_default")
    hide(page)
    asked = requests(page)
    page.clock.run_for(60_000)
    assert asked == []
    with told(page):
        show(page)
    assert len(asked) == 1


def test_it_asks_nothing_once_another_page_is_shown(tab, sim):
    tab.clock.install()
    page = open_page(tab, "pixverse_default")
    page.get_by_role("link", name="Dags", exact=True).first.click()
    expect(page.locator("main.page")).to_have_count(0)
    asked = requests(page)
    page.clock.run_for(60_000)
    assert asked == []


def requests(page):
    """What the page asks for from now on, as a list that grows."""
    asked = []
    page.on("request", lambda request: "/api/capacity" in request.url and asked.append(request.url))
    return asked


def hide(page, *, hidden=True):
    """Tell the page that its tab is hidden."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def show(page):
    """Tell the page that its tab is shown again."""
    hide(page, hidden=False)
