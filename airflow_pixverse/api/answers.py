"""What an answer says: the JSON in it, or an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import error_for_status
from airflow_pixverse.api.network_errors import Trouble
from airflow_pixverse.api.sanitizer import ExcessiveJsonError

if TYPE_CHECKING:
    from airflow_pixverse.api.sanitizer import Sanitizer
    from airflow_pixverse.api.service import Service
    from airflow_pixverse.api.transport import Answer


WEB_PAGE = "a web page"


class AnswerReader:
    """
    Reads the answers of a service.

    :param service: who answers, as errors name it.
    :param sanitizer: makes what it says harmless.
    """

    def __init__(self, service: Service, sanitizer: Sanitizer) -> None:
        self._service = service
        self._sanitizer = sanitizer

    def value(
        self, method: str, path: str, answer: Answer, *, wanted: Callable[[Any], object] | None = None
    ) -> Any:
        """
        Return the JSON of an answer; None for an empty one to another method than GET.

        :param wanted: returns something true for what was asked for, which counts whatever error the same
            body names.
        :raises PixverseError: it is an error, or no JSON.
        """
        value, trouble = self._json(answer)

        def error(status: int | None, detail: str, hint: str = "") -> Exception:
            return error_for_status(
                status,
                method=method,
                path=path,
                detail=detail,
                hint=hint,
                retry_after=answer.retry_after,
                service=self._service.name,
            )

        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            if answer.is_web_page and answer.status == HTTPStatus.NOT_FOUND:
                raise error(answer.status, WEB_PAGE, self._service.doubt)
            raise error(answer.status, self._words(value) or self._plain_text(answer))
        if answer.encoding:
            trouble = Trouble("answered an encoded body, which was not asked for")
            raise self._service.error(method, path, trouble)
        if not answer.body and method != "GET":
            return None
        if trouble:
            raise self._service.error(method, path, trouble)
        if isinstance(value, dict) and value.get("error") and not (wanted and wanted(value)):
            raise error(_code(value), self._words(value))
        return value

    def _json(self, answer: Answer) -> tuple[Any, Trouble | None]:
        """Return the JSON in the body of an answer, or None and why there is none."""
        try:
            return self._sanitizer.json(answer.body), None
        except ExcessiveJsonError as error:
            what, wrong_host = f"a body that {error}", False
        except ValueError:
            what, wrong_host = "something that is not JSON", True
        if answer.is_web_page:
            what, wrong_host = "a web page instead of JSON", True
        return None, Trouble(f"answered {what}", wrong_host=wrong_host)

    def _words(self, body: Any) -> str:
        """Return what the server says of its error, which may be a string or an object."""
        error = body.get("error") or body.get("message") if isinstance(body, dict) else None
        if isinstance(error, dict):
            error = error.get("message") or error
        if error is None:
            return ""
        return self._sanitizer.words(error if isinstance(error, str) else json.dumps(error))

    def _plain_text(self, answer: Answer) -> str:
        """Return a short plain-text body; a page of HTML says nothing worth repeating."""
        return self._sanitizer.words(answer.body.decode(errors="replace")) if answer.is_plain_text else ""


def _code(body: dict[str, Any]) -> int | None:
    """Return the ``code`` of an error in a 200 body, where it is one that HTTP has."""
    try:
        code = int(body.get("code") or 0)
    except (TypeError, ValueError):
        return None
    return code if code in range(100, 1000) else None
