"""Sender: send a request of the API once, redirects included."""

from urllib.parse import urljoin

from requests import PreparedRequest

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.http.address import is_plain, origin
from airflow_pixverse.api.http.deadline import Deadline
from airflow_pixverse.api.http.network_errors import Failure, explain
from airflow_pixverse.api.http.sanitizer import Sanitizer
from airflow_pixverse.api.http.transport import ApiRequest, ApiResponse, PartialResponseError, Transport
from airflow_pixverse.api.service import Service

_MAX_REDIRECTS = 5


class Sender:
    """
    Sends requests to the service, each once.

    :param base: base URL of all paths, as it is sent.
    :param timeout: seconds to wait for the connection, and for each part of the response.
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

    def send(self, request: ApiRequest) -> ApiResponse:
        """
        Send a request once, redirects of a GET included, and return the response, whatever its status.

        :raises PixverseFatalError: it cannot be sent, or is redirected to where it must not go.
        :raises PixverseNoConnectionError: no connection could be made.
        :raises PixverseTransientError: there is no whole response.
        """
        prepared = self._prepared(request)
        deadline = Deadline(sum(self._timeout))
        failure: Failure | None = None
        try:
            with deadline:
                response = self._follow(prepared, request.path)
            status: int | None = response.status
        except PixverseError:
            raise
        except Exception as error:  # noqa: BLE001 - the libraries raise all kinds of errors for what the network sent
            failure = explain(error, self._timeout, sent=deadline.sent)
            status = error.status if isinstance(error, PartialResponseError) else None
        if deadline.passed:  # a response that it cut off may look whole
            failure = Failure(f"got no whole answer within {sum(self._timeout):g} s")
        if failure:  # raised here, where nothing refers to the library's error, which may hold secrets
            raise self._service.error(
                request.method, request.path, failure, status=status, sent=deadline.sent
            )
        return response

    def _prepared(self, request: ApiRequest) -> PreparedRequest:
        url = self._base + request.path
        try:
            prepared = self._transport.prepare(
                request.method, url, params=request.params, json=request.json, file=request.file
            )
        except (OSError, ValueError, TypeError):  # the errors of requests are among these
            prepared = None
        # Ids have to arrive as they are: what would be encoded, resolved or cut off is refused.
        if prepared and "#" not in request.path and (prepared.url or "").partition("?")[0] == url:
            return prepared
        failure = Failure("cannot be sent: the path, query or body cannot be used", fatal=True)
        raise self._service.error(request.method, self._sanitizer.line(request.path), failure)

    def _follow(self, request: PreparedRequest, path: str) -> ApiResponse:
        """Send a request, and follow redirects of a GET as long as they stay on the same origin."""
        for _ in range(_MAX_REDIRECTS):
            response = self._transport.send(request)
            if response.location is None:
                return response
            if failure := self._objection(request, response.location):
                raise self._service.error(request.method or "", path, failure, status=response.status)
            request = self._transport.prepare("GET", urljoin(request.url or "", response.location))
        raise self._service.error("GET", path, Failure("was redirected too often"))

    def _objection(self, request: PreparedRequest, location: str) -> Failure | None:
        """Return the reason not to follow a redirect; None for no reason."""
        if request.method != "GET":
            return Failure("was redirected, which is refused for anything but GET", fatal=True)
        try:
            target = urljoin(request.url or "", location)
        except ValueError:
            target = location
        if not is_plain(target):
            return Failure("was redirected to an odd address, which is refused", fatal=True, wrong_host=True)
        if not (leads_to := origin(target)):
            return Failure("was redirected to no address")
        if leads_to != self._origin:
            where = self._sanitizer.line(leads_to)
            message = f"was redirected to another origin ({where}), which is refused: check the host"
            return Failure(message, fatal=True, wrong_host=True)
        # urllib3 writes the addresses it sends requests to into its log, and proxies do so too.
        sent = self._transport.prepare("GET", target).url or ""
        if self._sanitizer.holds_token(location) or self._sanitizer.holds_token(sent):
            message = "was redirected to an address that holds the API token, which is refused"
            return Failure(message, fatal=True, wrong_host=True)
        return None
