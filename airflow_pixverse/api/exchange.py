"""One call of the API, sent once: the answer that ends it, or an error that says why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

from airflow_pixverse.api.address import is_plain, origin
from airflow_pixverse.api.deadline import Deadline
from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.network_errors import Trouble, explain

if TYPE_CHECKING:
    from requests import PreparedRequest

    from airflow_pixverse.api.call import Call
    from airflow_pixverse.api.sanitizer import Sanitizer
    from airflow_pixverse.api.service import Service
    from airflow_pixverse.api.transport import Answer, Transport

_MAX_REDIRECTS = 5


class Exchange:
    """
    Sends requests to the service, each once.

    :param base: what paths are appended to, as it is sent.
    :param timeout: seconds to wait for the connection, and for each part of the answer.
    """

    def __init__(
        self,
        transport: Transport,
        service: Service,
        sanitizer: Sanitizer,
        *,
        base: str,
        timeout: tuple[float, float],
    ) -> None:
        self._transport = transport
        self._service = service
        self._sanitizer = sanitizer
        self._base = base
        self._origin = origin(base)
        self._timeout = timeout

    @property
    def time_limit(self) -> float:
        """Seconds within which any call ends, whatever the server does."""
        return sum(self._timeout)

    def send(self, call: Call) -> Answer:
        """
        Send a call once, redirects of a GET included, and return the answer, whatever its status.

        :raises PixverseFatalError: it cannot be sent, or is redirected to where it must not go.
        :raises PixverseNoConnectionError: no connection came about.
        :raises PixverseTransientError: there is no whole answer.
        """
        request = self._prepared(call)
        deadline = Deadline(self.time_limit)
        trouble: Trouble | None = None
        try:
            with deadline:
                answer = self._final_answer(request, call.path)
        except PixverseError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the libraries stumble over, the network sent it
            trouble = explain(error, self._timeout, sent=deadline.sent)
        if deadline.passed:  # an answer that it cut off may look whole
            trouble = Trouble(f"got no whole answer within {self.time_limit:g} s")
        if trouble:  # raised out here, where nothing refers to the library's error, which may hold secrets
            raise self._service.error(call.method, call.path, trouble, sent=deadline.sent)
        return answer

    def _prepared(self, call: Call) -> PreparedRequest:
        url = self._base + call.path
        try:
            request = self._transport.prepare(
                call.method, url, params=call.params, json=call.json, file=call.file
            )
        except (OSError, ValueError, TypeError):  # the errors of requests are among these
            request = None
        # Ids have to arrive as they are: what would be encoded, resolved or cut off is refused.
        if request and "#" not in call.path and (request.url or "").partition("?")[0] == url:
            return request
        trouble = Trouble("cannot be sent: the path, query or body cannot be used", fatal=True)
        raise self._service.error(call.method, self._sanitizer.words(call.path), trouble)

    def _final_answer(self, request: PreparedRequest, path: str) -> Answer:
        """Send a request, and follow redirects of a GET as long as they stay on the same origin."""
        for _ in range(_MAX_REDIRECTS):
            answer = self._transport.send(request)
            if answer.location is None:
                return answer
            if trouble := self._objection(request, answer.location):
                raise self._service.error(request.method or "", path, trouble, status=answer.status)
            request = self._transport.prepare("GET", urljoin(request.url or "", answer.location))
        raise self._service.error("GET", path, Trouble("was redirected too often"))

    def _objection(self, request: PreparedRequest, location: str) -> Trouble | None:
        """Return why a redirect is not followed; None if it is."""
        if request.method != "GET":
            return Trouble("was redirected, which is refused for anything but GET", fatal=True)
        try:
            target = urljoin(request.url or "", location)
        except ValueError:
            target = location
        if not is_plain(target):
            return Trouble("was redirected to an odd address, which is refused", fatal=True, wrong_host=True)
        if not (leads_to := origin(target)):
            return Trouble("was redirected to no address")
        if leads_to != self._origin:
            shown = self._sanitizer.words(leads_to)
            words = f"was redirected to another origin ({shown}), which is refused: check the host"
            return Trouble(words, fatal=True, wrong_host=True)
        # urllib3 writes the addresses it sends requests to into its log, and proxies do so too.
        sent = self._transport.prepare("GET", target).url or ""
        if self._sanitizer.holds_token(location) or self._sanitizer.holds_token(sent):
            words = "was redirected to an address that holds the API token, which is refused"
            return Trouble(words, fatal=True, wrong_host=True)
        return None
