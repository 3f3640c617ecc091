"""What the client makes of trouble: which error, how often it asks again, and that the token stays hidden."""

import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import (
    PixverseAuthError,
    PixverseError,
    PixverseFatalError,
    PixverseRateLimitError,
    PixverseTransientError,
)
from airflow_pixverse.simulator import Simulator, faults


def client_of(sim, **kwargs):
    return PixverseClient(sim.token, sim.url, **{"max_retries": 0, **kwargs})


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 412, 422, 596])
def test_a_fatal_status_is_raised_at_the_first_answer(sim, status):
    sim.inject(faults.status(status), times=None)
    with pytest.raises(PixverseFatalError, match=f"GET scheduler/available answered {status}") as caught:
        client_of(sim, max_retries=5).get_capacity()
    assert caught.value.status == status
    assert (caught.value.method, caught.value.path) == ("GET", "scheduler/available")
    assert isinstance(caught.value, PixverseAuthError) == (status in {401, 403})
    assert sim.request_count == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 527])
def test_a_transient_status_is_retried_until_the_retries_are_used_up(sim, status):
    sim.inject(faults.status(status), times=None)
    with pytest.raises(PixverseTransientError) as caught:
        client_of(sim, max_retries=2, max_retry_wait=0).get_capacity()
    assert caught.value.status == status
    assert (caught.value.method, caught.value.path) == ("GET", "scheduler/available")
    assert isinstance(caught.value, PixverseRateLimitError) == (status == 429)
    assert sim.request_count == 3


@pytest.mark.parametrize(
    "fault",
    [
        faults.html(200),
        faults.html(502),
        faults.broken_json(),
        faults.truncated(),
        faults.reset(),
        faults.oversized(6 * 1024 * 1024),
        faults.error_in_200("out of order"),
        faults.error_in_200({"message": "out of order"}, code=500),
    ],
)
def test_transient_trouble_passes_with_a_retry(sim, fault):
    sim.inject(fault)
    assert client_of(sim, max_retries=1, max_retry_wait=0).get_capacity().free_slots() == 6
    assert sim.request_count == 2


@pytest.mark.parametrize("location", ["http://[bad", "http://127.0.0.1:99999/x"])
def test_a_redirect_to_no_address_is_an_error_of_the_api(sim, location):
    sim.inject(faults.redirect(location))
    with pytest.raises(PixverseTransientError, match="GET scheduler/available was redirected to no address"):
        client_of(sim).get_capacity()


def test_a_code_that_is_no_number_is_none(sim):
    sim.respond_with("scheduler/available", b'{"error": "x", "code": 1e400}')
    with pytest.raises(PixverseTransientError, match="answered an error: x"):
        client_of(sim).get_capacity()


def test_a_body_that_drips_on_for_ever_is_given_up(sim):
    sim.inject(faults.drip(0.02))
    with pytest.raises(PixverseTransientError, match=r"no whole answer within 0\.5 s"):
        client_of(sim, timeout=(0.2, 0.3)).get_capacity()


def test_a_host_that_does_not_answer_is_transient_trouble(sim):
    sim.stop()
    with pytest.raises(PixverseTransientError, match="got no answer"):
        client_of(sim).get_capacity()


def test_an_answer_that_takes_too_long_is_transient_trouble(sim):
    sim.inject(faults.slow(30))
    with pytest.raises(PixverseTransientError, match=r"silent for 0\.2 s"):
        client_of(sim, timeout=(1, 0.2)).get_capacity()


def test_a_body_over_5_mib_is_cut_off_while_reading(sim):
    sim.inject(faults.oversized(10**12))  # reading it whole would take hours
    with pytest.raises(PixverseTransientError, match="larger than 5242880 bytes"):
        client_of(sim).get_capacity()


def test_a_body_of_5_mib_is_read(sim):
    sim.respond_with("scheduler/available", b"{}".ljust(5 * 1024 * 1024))
    assert client_of(sim).get_capacity().free_slots() == 0


def test_an_error_in_a_200_body_is_an_error_by_its_code(sim):
    sim.inject(faults.error_in_200("Unauthorized", code=401))
    with pytest.raises(PixverseAuthError, match="Unauthorized"):
        client_of(sim).get_capacity()
    sim.inject(faults.error_in_200("Unauthorized", code=401))
    with pytest.raises(PixverseAuthError):
        client_of(sim).list_executing()


def test_the_servers_own_words_are_kept(sim):
    sim.inject(faults.status(402, {"error": {"message": "Subscription expired"}}))
    with pytest.raises(PixverseFatalError, match="Subscription expired") as caught:
        client_of(sim).get_capacity()
    assert caught.value.detail == "Subscription expired"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "Down for an hour"}, "Down for an hour"),
        ({"error": {"reason": "Down"}}, '{"reason": "Down"}'),
        ("Down for\nan hour", "Down for an hour"),
    ],
)
def test_they_are_found_wherever_they_are(sim, body, words):
    sim.inject(faults.status(503, body))
    with pytest.raises(PixverseTransientError) as caught:
        client_of(sim).get_capacity()
    assert caught.value.detail == words


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (17, 17),
        (timedelta(minutes=50), 3000),
        (timedelta(days=2), 3600),
        (10**9, 3600),
        (timedelta(hours=-2), 0),
    ],
)
def test_retry_after_is_read_in_both_forms(sim, header, seconds):
    if isinstance(header, timedelta):
        header = format_datetime(datetime.now(UTC) + header, usegmt=True)
    sim.inject(faults.rate_limit(retry_after=header))
    with pytest.raises(PixverseRateLimitError) as caught:
        client_of(sim).get_capacity()
    assert caught.value.retry_after == pytest.approx(seconds, abs=10)


def test_a_retry_waits_as_long_as_the_server_asks(sim):
    sim.inject(faults.rate_limit(retry_after=1))
    client_of(sim, max_retries=1).get_capacity()
    first, second = sim.requests
    assert second.monotonic - first.monotonic >= 1


def test_no_retry_waits_longer_than_the_bound_of_the_caller(sim, monkeypatch):
    naps = []
    monkeypatch.setattr(time, "sleep", naps.append)
    sim.inject(faults.rate_limit(retry_after=3600), times=3)
    client_of(sim, max_retries=3, max_retry_wait=2.5).get_capacity()
    assert naps == [2.5, 2.5, 2.5]


def test_backoff_grows_and_is_jittered(sim, monkeypatch):
    naps = []
    monkeypatch.setattr(time, "sleep", naps.append)
    sim.inject(faults.status(503), times=4)
    client_of(sim, max_retries=4).get_capacity()
    for nap, least in zip(naps, [0.5, 1, 2, 4], strict=True):
        assert least <= nap <= least * 1.25
    assert len({nap % 0.5 for nap in naps}) > 1


def test_a_redirect_to_another_origin_is_refused(sim):
    with Simulator(token=sim.token) as other:
        sim.inject(faults.redirect(other.url + "/v2/pixverse/scheduler/available"))
        words = rf"another origin \({other.url}\), which is refused: check the host \(is 127"
        with pytest.raises(PixverseFatalError, match=words):
            client_of(sim, max_retries=3).get_capacity()
        assert other.request_count == 0
    assert sim.request_count == 1


def test_a_redirect_on_the_same_origin_is_followed(sim):
    sim.inject(faults.redirect("/v2/pixverse/scheduler/available/"))
    assert client_of(sim).get_capacity().free_slots() == 6


def test_redirects_in_a_circle_end(sim):
    sim.inject(faults.redirect("/v2/pixverse/scheduler/available"), times=None)
    with pytest.raises(PixverseTransientError, match="redirected too often"):
        client_of(sim).get_capacity()


@pytest.mark.parametrize("call", ["list_executing", "get_capacity"])
def test_the_token_is_hidden_even_where_the_server_repeats_it(call):
    token = "user:77-s3cr3t/+x"
    with Simulator(token=token) as sim:
        client = client_of(sim)
        sim.inject(faults.echo_token())
        with pytest.raises(PixverseError) as caught:
            getattr(client, call)()
        sim.inject(faults.redirect(f"https://{quote(token, safe='')}.example.com/"))
        with pytest.raises(PixverseError) as redirected:
            getattr(client, call)()
        sim.respond_with("scheduler/", [{"id": "x", "note": f"for {token}"}])
        [job] = client.list_executing()
    for error in (caught.value, redirected.value):
        shown = "".join(traceback.format_exception(error)) + repr(vars(error))
        assert "s3cr3t" not in shown
    assert "s3cr3t" not in repr(client)
    assert job.to_xcom()["note"] == "for ***"


def test_a_netrc_entry_does_not_replace_the_token(sim, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client_of(sim).get_capacity()
    assert sim.requests[0].headers["Authorization"] == "authorized"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"token": " "}, "token is empty"),
        ({"token": "Bearer user:1-abc"}, "token begins with the word Bearer"),
        ({"token": "user:1-a\nX-Evil: 1"}, "token holds control"),
        ({"token": "user:1-ü"}, "token holds control"),
        ({"token": "t", "base_url": "api.useapi.net"}, "base_url"),
        ({"token": "t", "base_url": "ftp://api.useapi.net"}, "base_url"),
        ({"token": "t", "base_url": "https://me:pw@api.useapi.net"}, "base_url"),
        ({"token": "t", "base_url": "https://api.useapi.net:port"}, "base_url"),
        ({"token": "t", "base_url": "https://api.useapi.net:99999"}, "base_url"),
        ({"token": "t", "base_url": "https://api..useapi.net"}, "base_url"),
        ({"token": "t", "base_url": "https://api.useapi.net\\@pw"}, "base_url"),
        ({"token": "t", "timeout": (10, 1e10)}, "timeout"),
        ({"token": "t", "timeout": (0, 10)}, "timeout"),
        ({"token": "t", "timeout": (10, float("nan"))}, "timeout"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named_and_no_secret_shown(arguments, name):
    with pytest.raises(ValueError, match=name) as caught:
        PixverseClient(**arguments)
    assert "Evil" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_timeout_may_be_a_day():
    assert PixverseClient("t", timeout=(86_400, 86_400)).call_timeout == 2 * 86_400


def test_the_default_address_and_a_whole_base_are_understood():
    assert PixverseClient("t").base_url == "https://api.useapi.net/v2/pixverse/"
    assert PixverseClient("t", "https://gate.example.com/pX/").base_url == "https://gate.example.com/pX/"


def test_identity_is_that_of_service_and_token():
    identity = PixverseClient("user:1-a").identity
    same = [
        PixverseClient(" user:1-a "),
        PixverseClient("user:1-a", "https://API.useapi.net:443/", max_retries=0, label="connection 'b'"),
        PixverseClient("user:1-a", "https://api.useapi.net/v2/pixverse", (1, 1), proxy="http://proxy:3128"),
    ]
    others = [
        PixverseClient("user:1-b"),
        PixverseClient("user:1-A"),
        PixverseClient("user:1-a", "http://api.useapi.net"),
        PixverseClient("user:1-a", "https://api.useapi.net:444"),
        PixverseClient("user:1-a", "https://api.useapi.net/v1"),
    ]
    assert {client.identity for client in same} == {identity}
    assert len({identity, *(client.identity for client in others)}) == 1 + len(others)
    assert "user" not in identity
    assert "useapi" not in identity


def test_backoff_stays_a_number_however_many_retries_there_are():
    assert PixverseClient("t")._retry_wait(10_000, None) == 30
    assert PixverseClient("t", max_retry_wait=7)._retry_wait(10_000, None) == 7


def test_an_error_of_the_network_layer_that_nobody_foresaw_is_one_of_the_api(sim, monkeypatch):
    client = client_of(sim)

    def fail(*args, **kwargs):
        raise LookupError("a bug of a library, with the token in it")

    monkeypatch.setattr(client._transport._adapter, "send", fail)
    with pytest.raises(PixverseTransientError, match=r"got no answer that can be used$"):
        client.get_capacity()
