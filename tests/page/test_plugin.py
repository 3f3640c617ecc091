"""The plugin that adds the page to Airflow, and cannot keep the API server from starting."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from airflow_pixverse import __version__, capabilities
from airflow_pixverse.plugins.pixverse import PixversePagePlugin


def apps():
    plugin = PixversePagePlugin()
    return plugin.fastapi_apps + plugin.react_apps


def test_the_plugin_is_found_by_its_entry_point():
    [point] = [point for point in entry_points(group="airflow.plugins") if point.name == "pixverse"]
    assert point.load() is PixversePagePlugin


def test_airflow_serves_the_page_and_has_it_in_its_menu(page):
    plugins = page.client().get("/api/v2/plugins").json()["plugins"]
    [plugin] = [plugin for plugin in plugins if plugin["name"] == "pixverse"]
    [app] = plugin["fastapi_apps"]
    assert app["url_prefix"] == "/pixverse"
    [entry] = plugin["react_apps"]
    assert (entry["destination"], entry["category"]) == ("nav", "browse")
    assert page.client().get(entry["bundle_url"]).headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("http://localhost:8080", "/pixverse/page.js"),
        ("https://airflow.example.com/", "/pixverse/page.js"),
        ("https://example.com/some/airflow/", "/some/airflow/pixverse/page.js"),
        ("", "/pixverse/page.js"),
    ],
)
def test_the_url_of_the_page_begins_with_that_of_airflow(monkeypatch, base_url, path):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    [entry] = PixversePagePlugin().react_apps
    assert entry["bundle_url"] == f"{path}?v={__version__}"


def test_the_page_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("AIRFLOW__PIXVERSE__PAGE", "False")
    assert apps() == []


def test_there_is_no_page_before_airflow_3_1_1(monkeypatch):
    monkeypatch.setattr(capabilities, "HAS_PLUGIN_PAGES", False)
    assert apps() == []


def test_an_error_leaves_the_page_out_and_is_logged(monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__PIXVERSE__PAGE", "perhaps")
    assert apps() == []
    assert caplog.text.count("The PixVerse page is left out") == 1
    assert "perhaps" in caplog.text


def test_loading_the_plugin_imports_nothing_of_the_page():
    code = """if True:
        import sys
        from airflow.providers.common.compat.sdk import AirflowPlugin
        before = set(sys.modules)
        from airflow_pixverse.plugins.pixverse import PixversePagePlugin
        PixversePagePlugin()
        print(*set(sys.modules) - before)
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) <= {
        "airflow_pixverse", "airflow_pixverse.plugins", "airflow_pixverse.plugins.pixverse",
    }  # fmt: skip
