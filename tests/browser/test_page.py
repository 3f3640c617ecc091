"""The capacity page in a real browser, inside a real Airflow."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from airflow_pixverse.simulator import faults
from tests.browser.conftest import CAPACITY, open_page

HOSTILE = "<img src=x onerror=alert(1)>"


def tile(page, name):
    return page.locator(".tile").filter(has_text=name).locator(".number")


def waits(page):
    return page.get_by_role("table", name="Tasks that wait for a slot").get_by_role("row")


def jobs(page):
    return page.get_by_role("table", name="Jobs that execute").get_by_role("row")


def warning(page, title):
    return page.get_by_role("listitem").filter(has_text=title)


# Contents


def test_it_is_in_the_menu(tab, sim):
    tab.goto("/")
    tab.get_by_role("button", name="Browse").click()
    tab.get_by_role("menuitem", name="PixVerse capacity").click()
    expect(tab.get_by_role("heading", name="PixVerse capacity")).to_be_visible()
    assert tab.url.endswith("/plugin/pixverse")


def test_the_numbers_follow_the_service(page, sim):
    expect(tile(page, "Free slots")).to_have_text("6")
    expect(page.get_by_text("No job is executing.")).to_be_visible()

    job = sim.start_job("a-1@example.com", type="image")
    expect(tile(page, "Free slots")).to_have_text("5")
    expect(tile(page, "Executing")).to_have_text("1")
    expect(page.get_by_role("listitem").filter(has_text="a-1@example.com")).to_contain_text(
        "1 of 3 slots in use"
    )
    expect(jobs(page).nth(1)).to_contain_text("Image")
    expect(jobs(page).nth(1)).to_contain_text("another client")

    sim.end_job(job)
    expect(tile(page, "Free slots")).to_have_text("6")
    expect(jobs(page)).to_have_count(0)
    expect(
        page.get_by_role("img", name=re.compile("Free slots: between 5 and 6 in .*, now 6"))
    ).to_be_visible()


def test_many_waits_are_listed_in_order_and_searched(crowded_page, crowd):
    page = crowded_page
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
        page.get_by_text(f"None of the {crowd.size} waiting tasks matches “no such task”.")
    ).to_be_visible()


def test_a_link_opens_the_task_without_reloading_airflow(crowded_page, crowd):
    page = crowded_page
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


def test_names_of_dags_tasks_and_runs_are_shown_as_text_and_links_stay_in_airflow(page, rewrite):
    wait = {"dag_id": HOSTILE, "task_id": "../x", "run_id": "javascript:alert(1)", "map_index": 3}
    wait |= {
        "place": 1,
        "slots": 1,
        "emails": [HOSTILE],
        "since": 0,
        "times_out_at": None,
        "mode": "deferred",
    }
    rewrite(lambda body: body["waits"].update(total=1, found=1, shown=[wait], longest_since=0))
    link = page.get_by_role("link", name=f"{HOSTILE} › ../x [3]")
    expect(link).to_be_visible()
    expect(link).to_have_attribute(
        "href",
        "/dags/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E/runs/javascript%3Aalert(1)/tasks/..%2Fx/mapped/3",
    )
    assert page.locator("main.page img").count() == 0


def test_the_name_of_the_task_that_submitted_a_job_is_not_cut_off(page, sim, rewrite):
    sim.start_job("a-1@example.com")
    task = {"dag_id": "nightly_shots", "run_id": "manual", "task_id": "make_the_video", "map_index": 3}
    rewrite(lambda body: [job.update(task=task) for job in body["capacity"]["executing"]])
    link = page.get_by_role("link", name="nightly_shots › make_the_video [3]")
    expect(link).to_be_visible()
    assert link.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_running_batch_is_shown_with_a_bar_its_counts_and_a_link(page, rewrite):
    batch = {"dag_id": "nightly", "run_id": "manual", "task_id": "campaign", "map_index": -1}
    batch |= {"since": 0, "at": None, "rate": 4.5, "seconds_left": 600, "cost_credits": 540}
    batch["counts"] = {"waiting": 4, "running": 3, "stored": 12, "failed": 1, "unknown": 0, HOSTILE: 1}
    batches = page.get_by_role("table", name="Batches that run").get_by_role("row")
    expect(batches).to_have_count(0)
    rewrite(lambda body: body["batches"].update(total=2, hidden=1, shown=[batch]))
    row = batches.nth(1)
    expect(row).to_contain_text(f"12 of 21 stored, 3 running, 4 waiting, 1 failed, 1 {HOSTILE}")
    expect(row.locator(".left")).to_have_text("10 min")
    expect(row.locator(".bar i")).to_have_count(4)
    expect(row.get_by_role("link", name="nightly › campaign")).to_have_attribute(
        "href", "/dags/nightly/runs/manual/tasks/campaign"
    )
    expect(page.get_by_text("1 more batch runs in DAGs that you may not see.")).to_be_visible()
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    expect(row.get_by_role("cell", name="Rows a minute: 4.5")).to_be_visible()
    main = page.locator("main.page")
    assert main.evaluate("node => node.scrollWidth <= node.clientWidth")


# Problems


def test_the_last_snapshot_stays_while_the_api_is_down(page, sim):
    sim.start_job("a-1@example.com")
    expect(tile(page, "Free slots")).to_have_text("5")
    sim.inject(faults.status(503), times=None)
    problem = warning(page, "PixVerse answers with an error")
    expect(problem).to_contain_text("Below is its last answer.")
    expect(tile(page, "Free slots")).to_have_text("5")
    expect(page.get_by_role("status").filter(has_text="PixVerse answers with an error")).to_be_attached()
    sim.clear_faults()
    expect(problem).to_have_count(0)


def test_a_refused_token_is_shown_with_a_link_to_the_connections(tab, sim):
    page = open_page(tab, "pixverse_bad_token")
    problem = warning(page, "PixVerse refuses the API token")
    expect(problem).to_be_visible()
    assert "not-this-one" not in page.locator("main.page").inner_text()
    problem.get_by_role("link", name="Open the connections").click()
    page.wait_for_url("**/connections")


@pytest.mark.parametrize(
    ("change", "title", "what_to_do"),
    [
        (
            lambda body: (body.update(triggerers=0), body["waits"].update(total=1, hidden=1)),
            "No triggerer is alive",
            "airflow triggerer",
        ),
        (
            lambda body: body.update(triggerers=1, triggers=800, places=1000),
            "800 triggers share 1000 places in the triggerer",
            "[triggerer] capacity",
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
    ids=[
        "no triggerer",
        "few places",
        "several triggerers",
        "account in error",
        "no connection",
        "no account",
    ],
)
def test_a_problem_is_shown_with_what_to_do(page, rewrite, change, title, what_to_do):
    rewrite(change)
    page.get_by_role("button", name="Refresh").click()
    main = page.locator("main.page")
    expect(main).to_contain_text(title)
    expect(main).to_contain_text(what_to_do)


def test_tasks_that_ask_for_more_slots_than_there_are_are_named(crowded_page, rewrite):
    rewrite(lambda body: body["waits"].update(too_large=[body["waits"]["shown"][0] | {"slots": 50}]))
    named = warning(crowded_page, "Some tasks ask for more slots than there are")
    expect(named.get_by_role("link", name="crowd › wait_000")).to_be_visible()
    expect(named).to_contain_text("50 slots")


# Accessibility


def violations(page):
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(tab, crowd, theme):
    tab.emulate_media(color_scheme=theme)
    page = open_page(tab, "pixverse_crowd")
    expect(waits(page).nth(1)).to_be_visible()
    assert violations(page) == []
    page = open_page(tab, "pixverse_bad_token")
    expect(warning(page, "PixVerse refuses the API token")).to_be_visible()
    assert violations(page) == []


def test_it_has_the_colours_of_airflow_in_light_and_dark(page):
    colour = "node => getComputedStyle(node).color"
    main, body = page.locator("main.page"), page.locator("body")
    light = main.evaluate(colour)
    assert light == body.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    expect(main).not_to_have_css("color", light)
    assert main.evaluate(colour) == body.evaluate(colour)


def test_focus_and_selection_stay_when_rows_before_them_leave(crowded_page, crowd, rewrite):
    page = crowded_page
    link = page.get_by_role("link", name="crowd › wait_004")
    link.focus()
    link.evaluate("node => getSelection().selectAllChildren(node.nextSibling)")
    rewrite(lambda body: body["waits"]["shown"].pop(0))
    expect(page.get_by_role("link", name="crowd › wait_000")).to_have_count(0)
    expect(link).to_be_focused()
    assert page.evaluate("getSelection().toString()") == crowd.run.run_id


def test_everything_is_reached_with_the_keyboard(crowded_page):
    page = crowded_page
    page.get_by_label("Connection", exact=True).focus()
    for role, name in [("button", "Refresh"), ("searchbox", None), ("link", "crowd › wait_000")]:
        page.keyboard.press("Tab")
        expect(page.get_by_role(role, name=name)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/wait_000")


def test_the_live_region_is_silent_while_only_numbers_change(page, sim):
    status = page.locator("main.page [role=status]")
    status.evaluate("""node => {
        node.changes = 0;
        const options = { childList: true, characterData: true, subtree: true };
        new MutationObserver(() => node.changes++).observe(node, options);
    }""")
    sim.start_job()
    expect(tile(page, "Executing")).to_have_text("1")
    assert status.evaluate("node => node.changes") == 0


def test_it_fits_a_narrow_screen(tab, crowd):
    tab.set_viewport_size({"width": 390, "height": 800})
    page = open_page(tab, "pixverse_crowd")
    expect(waits(page).nth(1)).to_contain_text("crowd › wait_000")
    main = page.locator("main.page")
    assert main.evaluate("node => node.scrollWidth <= node.clientWidth")
    assert page.get_by_role("table", name="Tasks that wait for a slot").get_by_role("cell").count()


# Polling


def test_it_does_not_poll_while_it_is_hidden(tab, sim):
    tab.clock.install()
    page = open_page(tab, "pixverse_default")
    set_hidden(page, hidden=True)
    sent = requests(page)
    page.clock.run_for(60_000)
    assert sent == []
    with page.expect_response(CAPACITY):
        set_hidden(page, hidden=False)
    assert len(sent) == 1


def test_it_does_not_poll_once_another_page_is_shown(tab, sim):
    tab.clock.install()
    page = open_page(tab, "pixverse_default")
    page.get_by_role("link", name="Home", exact=True).first.click()
    expect(page.locator("main.page")).to_have_count(0)
    sent = requests(page)
    page.clock.run_for(60_000)
    assert sent == []


def requests(page):
    """Return a list to which the requests of the page are added from now on."""
    sent = []
    page.on("request", lambda request: "/api/capacity" in request.url and sent.append(request.url))
    return sent


def set_hidden(page, *, hidden):
    """Tell the page that its tab is hidden or shown."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
