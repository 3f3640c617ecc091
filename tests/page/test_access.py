"""Who may see what: every route is behind the right to see plugins."""

import pytest

from tests.page.auth_manager import AuthManager
from tests.page.conftest import ROLES

ROUTES = ["/pixverse/page.js", "/pixverse/page.css", "/pixverse/api/capacity"]
NO_ROUTES = [
    "/pixverse/",
    "/pixverse/docs",
    "/pixverse/redoc",
    "/pixverse/openapi.json",
    "/pixverse/docs/oauth2-redirect",
    "/pixverse/page.js/",
    "/pixverse/static/page.js",
    "/pixverse/..%2fapp.py",
    "/pixverse/page.py",
]
METHODS = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("role", ROLES)
def test_whoever_may_see_plugins_sees_the_page(page, sim, role, route):
    assert page.client(role).get(route).status_code == 200


@pytest.mark.parametrize("route", [*ROUTES, *NO_ROUTES])
def test_nobody_sees_anything_without_logging_in(page, route):
    assert page.client(None).get(route, follow_redirects=False).status_code == 401


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", ROUTES)
def test_other_methods_are_no_way_around_that(page, route, method):
    assert page.client(None).request(method, route).status_code == 401


@pytest.mark.parametrize("route", [*ROUTES, *NO_ROUTES])
@pytest.mark.parametrize("role", ROLES)
def test_whoever_may_not_see_plugins_sees_nothing(page, role, route):
    AuthManager.may_see_plugins = False
    assert page.client(role).get(route, follow_redirects=False).status_code == 403


@pytest.mark.parametrize("route", NO_ROUTES)
def test_there_is_nothing_else(page, route):
    assert page.client("admin").get(route, follow_redirects=False).status_code == 404


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", ROUTES)
def test_there_is_nothing_but_reading(page, route, method):
    assert page.client("admin").request(method, route).status_code == 405


@pytest.mark.parametrize("role", [None, "admin"])
@pytest.mark.parametrize("route", [*ROUTES, "/pixverse/nothing"])
def test_every_answer_has_the_security_headers(page, sim, route, role):
    headers = page.client(role).get(route).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("route", "kind"), [("page.js", "text/javascript"), ("page.css", "text/css")])
def test_files_are_kept_by_the_browser_only(page, route, kind):
    headers = page.client().get(f"/pixverse/{route}").headers
    assert headers["content-type"].split(";")[0] == kind
    assert headers["cache-control"].startswith("private")


@pytest.mark.parametrize("role", [None, "admin"])
def test_data_is_kept_by_nobody(page, sim, role):
    assert page.client(role).get("/pixverse/api/capacity").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"find": "x" * 251}, {"conn_id": "x" * 251}]
)
def test_what_cannot_be_meant_is_refused(page, params):
    assert page.client().get("/pixverse/api/capacity", params=params).status_code == 422
    assert page.client(None).get("/pixverse/api/capacity", params=params).status_code == 401


def test_the_answer_to_an_error_of_ours_has_the_security_headers_too(page, sim, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("a bug")

    monkeypatch.setattr("airflow_pixverse.page.app.compose", fail)
    answer = page.client("admin", raise_server_exceptions=False).get("/pixverse/api/capacity")
    assert answer.status_code == 500
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["Cache-Control"] == "no-store"
