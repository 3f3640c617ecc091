"""ResponseParser: turn a response into its JSON, or into an error."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from airflow_pixverse.api.api_model import message_of
from airflow_pixverse.api.errors import error_for_status
from airflow_pixverse.api.http.network_errors import Failure
from airflow_pixverse.api.http.sanitizer import ExcessiveJsonError, Sanitizer
from airflow_pixverse.api.http.transport import ApiRequest, ApiResponse
from airflow_pixverse.api.service import Service

_Model = TypeVar("_Model")

WEB_PAGE = "a web page"


class ResponseParser:
    """
    Parses the responses of a service.

    :param service: the service, as errors name it.
    :param sanitizer: sanitizes values and texts of the response.
    """

    def __init__(self, service: Service, sanitizer: Sanitizer) -> None:
        self._service = service
        self._sanitizer = sanitizer

    def parse(
        self,
        request: ApiRequest,
        response: ApiResponse,
        *,
        wanted: Callable[[Any], object] | None = None,
        missing: Any = None,
    ) -> Any:
        """
        Return the JSON of a response; None for an empty one to another method than GET.

        :param wanted: returns a true value for a body with the requested content, which counts although the
            same body names an error.
        :param missing: value to return where the API itself, and no web server before it, answers 404; None
            to raise an error.
        :raises PixverseError: it is an error, or no JSON.
        """
        value, failure = self._json(response)

        def error(status: int | None, detail: str, hint: str = "", *, is_passing: bool = False) -> Exception:
            return error_for_status(
                status,
                method=request.method,
                path=request.path,
                detail=detail,
                hint=hint,
                retry_after=response.retry_after,
                service=self._service.name,
                is_passing=is_passing,
            )

        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            is_read = request.method == "GET"
            if response.is_web_page and (
                response.status == HTTPStatus.NOT_FOUND or (is_read and _blames(response))
            ):
                # A page of a proxy or a CDN says nothing about the request.
                raise error(response.status, WEB_PAGE, self._service.doubt, is_passing=is_read)
            is_answer = isinstance(value, dict) or not response.body
            if response.status == HTTPStatus.NOT_FOUND and missing is not None and is_answer:
                return missing
            # A page of HTML is not repeated.
            is_plain_text = response.content_type.startswith("text/plain")
            text = self._sanitizer.line(response.body.decode(errors="replace")) if is_plain_text else ""
            raise error(response.status, self._message(value) or text)
        if response.encoding:
            failure = Failure("answered an encoded body, which was not asked for")
            raise self._service.error(request.method, request.path, failure, status=response.status)
        if not response.body and request.method != "GET":
            return None
        if failure:
            raise self._service.error(request.method, request.path, failure, status=response.status)
        if isinstance(value, dict) and value.get("error") and not (wanted and wanted(value)):
            if missing is not None and _code(value) == HTTPStatus.NOT_FOUND:
                return missing
            raise error(_code(value), self._message(value))
        return value

    def parse_model(
        self,
        model: TypeAdapter[_Model],
        request: ApiRequest,
        response: ApiResponse,
        *,
        context: Mapping[str, Any],
        **options: Any,
    ) -> _Model:
        """
        Return the model of a response.

        :param context: parts of the request that the model needs.
        :param options: see :meth:`parse`.
        :raises PixverseError: it is an error, no JSON, or JSON of another shape.
        """
        value = self.parse(request, response, **options)
        try:
            return model.validate_python(value, context={**context, "answered_at": response.date})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        shape = self._sanitizer.line(f"{where}: {first['msg']}")
        failure = Failure(f"answered a body of another shape ({shape})", wrong_host=True)
        raise self._service.error(request.method, request.path, failure)

    def _json(self, response: ApiResponse) -> tuple[Any, Failure | None]:
        """Return the JSON of a response, or None and the reason why there is none."""
        try:
            return self._sanitizer.json(response.body), None
        except ExcessiveJsonError as error:
            content, wrong_host = f"a body that {error}", False
        except ValueError:
            content, wrong_host = "something that is not JSON", True
        if response.is_web_page:
            content, wrong_host = "a web page instead of JSON", True
        return None, Failure(f"answered {content}", wrong_host=wrong_host)

    def _message(self, body: Any) -> str:
        error = body.get("error") or body.get("message") if isinstance(body, dict) else None
        return self._sanitizer.line(message_of(error))


def _blames(response: ApiResponse) -> bool:
    """Return whether the status blames the client (4xx)."""
    return response.status // 100 == 4  # noqa: PLR2004


def _code(body: dict[str, Any]) -> int | None:
    """Return the ``code`` of an error in a 200 body, where it is one that HTTP has."""
    try:
        code = int(body.get("code") or 0)
    except (TypeError, ValueError):
        return None
    return code if code in range(100, 1000) else None
