"""Values that cannot be used: an error names their field in Python, over HTTP and on the command line."""

import math
from datetime import datetime
from functools import partial

import pytest

from airflow_pixverse.simulator import Simulator, errors, faults
from airflow_pixverse.simulator.__main__ import main
from tests.unit.simulator.helpers import A

CHECKS = [
    (errors.integer, (0, 5), [True, "1", 1.0, None, -1, 6]),
    (errors.integer, (0,), [-1]),
    (errors.number, (), [True, "1", None, -1, math.nan, math.inf]),
    (errors.number, (1,), [True, "1", None, -0.1, 1.1, math.nan]),
    (errors.text, (), [7, "", "x" * 1025]),
    (errors.header, (), [7, "", " x", "a\nb", "a\r\nX: y", "\u00e9"]),
]


@pytest.mark.parametrize(("check", "limits", "values"), CHECKS)
def test_a_check_refuses_values_under_the_name_of_their_field(check, limits, values):
    for value in values:
        with pytest.raises(ValueError, match=r"^here: must be "):
            check("here", value, *limits)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda sim: sim.start_job(A, seconds=-1), "seconds"),
        (lambda sim: sim.start_job(A, started=datetime(2024, 9, 25)), "started"),
        (lambda sim: sim.start_job(A, type=""), "type"),
        (lambda sim: sim.start_job(outcome="lost"), "outcome"),
        (lambda sim: sim.set_max_jobs(A, -1), "max_jobs"),
        (lambda sim: sim.set_fate("x", "lost"), "fate"),
        (lambda sim: sim.set_fate("", "busy"), "prompt"),
        (lambda sim: sim.set_pending_error(A, ""), "pending_error"),
        (lambda sim: sim.set_credits(A, -1), "credits"),
        (lambda sim: sim.set_expiry(A, datetime(2024, 1, 1)), "expires"),
        (lambda sim: sim.inject(faults.html), "fault"),
        (lambda sim: sim.inject(faults.html(), times=0), "times"),
        (lambda sim: sim.inject(faults.html(), share=1.1), "share"),
        (lambda sim: sim.respond_with("scheduler/", [], status=42), "status"),
        (lambda sim: setattr(sim, "token", "a\nb"), "token"),
        (lambda sim: setattr(sim, "schema", "2020-01-01"), "schema"),
        (lambda sim: setattr(sim, "link_seconds", -1), "link_seconds"),
    ],
)
def test_a_running_simulator_refuses_a_value_and_stays_as_it_is(sim, call, field):
    with pytest.raises(ValueError, match=f"^{field}: "):
        call(sim)
    assert (sim.free(), sim.jobs, sim.script.next_fault("/")) == (6, [], None)


@pytest.mark.parametrize(
    ("make", "field", "values"),
    [
        (Simulator, "host", ["0.0.0.0", "192.0.2.1", "example.com", "::"]),
        (Simulator, "port", [-1, 65536]),
        (Simulator, "token", ["", " user:1-x"]),
        (Simulator, "schema", ["2020-01-01"]),
        (Simulator, "busy", [-1]),
        (Simulator, "arrivals", [math.inf]),
        (Simulator, "job_seconds", [(5, 2), (-1, 2), (5, math.inf)]),
        (Simulator, "accounts", [{"": 1}]),
        (Simulator, "failed", [-0.1, 1.1]),
        (partial(Simulator, failed=0.6), "moderated", [0.6]),
        (Simulator, "credits", [1.5, -1]),
        (Simulator, "result_delay", [-1]),
        (Simulator, "media_bytes", [0, 2047, 4_000_000_001, 1e6, True]),
        (Simulator, "link_seconds", [-1]),
        (faults.status, "code", [99, 600]),
        (partial(faults.status, 200), "content_type", ["a/b\r\nX: y"]),
        (faults.rate_limit, "retry_after", [[5], -5, "5\r\nX: y"]),
        (faults.redirect, "location", ["http://x/\nSet-Cookie: y"]),
        (faults.slow, "seconds", [math.inf, "1"]),
        (faults.drip, "seconds_per_byte", [-1]),
        (faults.oversized, "size", [1]),
        (faults.html, "code", [True]),
        (faults.echo_token, "code", [0]),
        (faults.late_answer, "seconds", [-1]),
        (faults.lost_answer, "seconds", [-1]),
        (faults.lost_request, "code", [600]),
        (partial(faults.garbled, how="cut"), "field", [""]),
        (partial(faults.garbled, "replyRef"), "how", ["lost"]),
        (faults.cut, "after", [-1]),
        (faults.short, "after", [0.5]),
        (faults.hold, "after", [-1]),
        (faults.throttle, "bytes_per_second", [0]),
        (faults.cdn_redirect, "host", ["example.com", "localhost\r\nX: y"]),
    ],
)
def test_no_simulator_and_no_fault_is_made_of_a_value_that_cannot_be_used(make, field, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{field}: "):
            make(**{field: value})


@pytest.mark.parametrize(
    ("options", "field"), [({"accounts": {A: -1}}, A), ({"fates": {"x": "lost"}}, "fate")]
)
def test_an_entry_that_cannot_be_used_is_refused_under_its_own_name(options, field):
    with pytest.raises(ValueError, match=f"^{field}: "):
        Simulator(**options)


@pytest.mark.parametrize(
    ("path", "field", "bodies"),
    [
        ("faults", "fault", [{}, {"fault": "earthquake"}, {"fault": ["html"]}]),
        ("faults", "times", [{"fault": "html", "times": 0}]),
        ("faults", "path", [{"fault": "html", "path": 7}]),
        ("faults", "method", [{"fault": "html", "method": 7}]),
        ("faults", "share", [{"fault": "html", "share": 2}]),
        ("faults", "html", [{"fault": "html", "retry": 5}]),
        ("faults", "status", [{"fault": "status"}]),
        ("faults", "seconds", [{"fault": "slow", "seconds": "x"}]),
        ("faults", "body", [["html"]]),
        ("fill", "seconds", [{"seconds": -1}]),
        ("fill", "minutes", [{"minutes": 1}]),
        ("jobs", "email", [{"email": 7}]),
        ("jobs", "type", [{"type": ""}]),
        ("jobs", "seconds", [{"seconds": True}]),
        ("jobs", "started", [{"started": "yesterday"}, {"started": "2024-09-25T01:55:16"}]),
        ("jobs", "reply_ref", [{"reply_ref": "x"}]),
        ("jobs", "outcome", [{"outcome": "lost"}]),
        ("jobs", "website", [{"website": 1}]),
        ("jobs", "reason", [{"reason": ""}]),
        ("fates", "fate", [{"prompt": "x"}, {"prompt": "x", "fate": "lost"}]),
        ("accounts", "email", [{"credits": 5}]),
        ("accounts", "credits", [{"email": A, "credits": -1, "maxJobs": 1}]),
        ("accounts", "maxJobs", [{"email": A, "maxJobs": None}]),
        ("accounts", "expires", [{"email": A, "expires": "2024-01-01T00:00:00", "maxJobs": 1}]),
        ("accounts", "password", [{"email": A, "password": "x"}]),
        ("links", "seconds", [{}]),
    ],
)
def test_a_bad_body_is_refused_with_the_name_of_the_field(admin, sim, path, field, bodies):
    for body in bodies:
        answer = admin.post(f"/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, 400)
        assert answer.json()["error"].startswith(f"{field}: ")
    assert (sim.free(), sim.jobs, sim.script.next_fault("/")) == (6, [], None)


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--port", ["70000"]),
        ("--port", ["x"]),
        ("--accounts", ["0"]),
        ("--max-jobs", ["9"]),
        ("--schema", ["2020-01-01"]),
        ("--arrivals", ["nan"]),
        ("--result-delay", ["-1"]),
        ("--media-bytes", ["100"]),
        ("--job-seconds", ["60", "20"]),
        ("--job-seconds", ["20"]),
    ],
)
def test_a_bad_option_is_refused_with_its_name(option, values, capsys):
    with pytest.raises(SystemExit) as refused:
        main([option, *values])
    assert refused.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err
