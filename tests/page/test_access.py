"""Access: every route is behind the right to see plugins, and every response has the security headers."""

import pytest

from airflow_pixverse.page import app
from tests.page.auth_manager import AuthManager
from tests.page.conftest import CAPACITY, ROLES

FILES = {
    "page.js": "text/javascript",
    "feed.js": "text/javascript",
    "words.js": "text/javascript",
    "page.css": "text/css",
}
ROUTES = [*(f"/pixverse/{name}" for name in FILES), CAPACITY]
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
NOT_FOUND = [("GET", path, 404) for path in NO_ROUTES]
NOT_ALLOWED = [(method, path, 405) for method in METHODS for path in ROUTES]
REQUESTS = [*(("GET", path, 200) for path in ROUTES), *NOT_FOUND, *NOT_ALLOWED]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", ROUTES)
def test_users_who_may_see_plugins_see_the_page(page, sim, path, role):
    assert page.client(role).get(path).status_code == 200


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", [*ROUTES, *NO_ROUTES])
def test_users_who_may_not_see_plugins_see_nothing(page, path, role):
    AuthManager.may_see_plugins = False
    assert page.client(role).get(path, follow_redirects=False).status_code == 403


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_every_request_needs_a_login(page, method, path, status):
    assert page.client(None).request(method, path, follow_redirects=False).status_code == 401


@pytest.mark.parametrize(("method", "path", "status"), [*NOT_FOUND, *NOT_ALLOWED])
def test_there_are_no_other_routes(page, method, path, status):
    assert page.client().request(method, path, follow_redirects=False).status_code == status


@pytest.mark.parametrize("role", [None, "admin"])
@pytest.mark.parametrize("path", [*ROUTES, "/pixverse/nothing"])
def test_every_response_has_the_security_headers_and_data_is_not_cached(page, sim, path, role):
    headers = page.client(role).get(path).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert path != CAPACITY or headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("route", "kind"), FILES.items())
def test_only_the_browser_caches_files(page, route, kind):
    headers = page.client().get(f"/pixverse/{route}").headers
    assert headers["content-type"].split(";")[0] == kind
    assert headers["cache-control"].startswith("private")


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"find": "x" * 251}, {"conn_id": "x" * 251}]
)
def test_parameters_out_of_range_are_refused(page, params):
    assert page.client().get(CAPACITY, params=params).status_code == 422
    assert page.client(None).get(CAPACITY, params=params).status_code == 401


def test_an_internal_error_has_the_security_headers_too(page, sim, monkeypatch):
    monkeypatch.setattr(app, "compose", None)
    response = page.client(raise_server_exceptions=False).get(CAPACITY)
    assert response.status_code == 500
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert response.headers["cache-control"] == "no-store"
