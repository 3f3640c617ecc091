"""Take the pictures of the capacity page, with life in it; `make screenshots` runs this."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from scripts.airflow_in_browser import LIFE, SETTINGS, busy_simulator
from tools.real_airflow import Airflow
from tools.real_airflow.ports import LOOPBACK, free_port

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 800
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 180_000  # ms


def main() -> None:
    """Take one picture in the light and one in the dark theme."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit("Chromium is not installed; `make chromium` does so, as root on Debian")
    with (
        tempfile.TemporaryDirectory(prefix="airflow-pixverse-", ignore_cleanup_errors=True) as home,
        busy_simulator(arrivals=12) as sim,
        Airflow(
            Path(home),
            [LIFE],
            SETTINGS,
            connections={"pixverse_default": sim.connection},
            ui_port=free_port(),
        ) as airflow,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--no-proxy-server"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"http://{LOOPBACK}:{airflow.web_port}/plugin/pixverse")
        _wait_for_life(page)
        PICTURES.mkdir(exist_ok=True)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.screenshot(path=PICTURES / f"capacity-{theme}.png", animations="disabled")
        browser.close()


def _wait_for_life(page: Page) -> None:
    waits = page.get_by_role("table", name="Tasks that wait for a slot").get_by_role("row")
    jobs = page.get_by_role("table", name="Jobs that execute")
    ours, others = jobs.get_by_role("link").nth(2), jobs.get_by_text("another client").first
    trend = page.get_by_role("img", name="Free slots: between")
    for sign in (ours, others, waits.nth(2), trend):
        expect(sign).to_be_visible(timeout=PATIENCE)


if __name__ == "__main__":
    main()
