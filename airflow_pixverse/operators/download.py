"""PixverseDownloadOperator: store the files of results in object storage."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_pixverse.api.errors import PixverseFatalError
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.parameters import check_at_parse, parse_conn_id, parse_results
from airflow_pixverse.storage.destination import DEFAULT_FILE_NAME, DEFAULT_MAX_BYTES
from airflow_pixverse.storage.paths import parse_storage_uri
from airflow_pixverse.storage.stores_results import OUTPUT_FIELDS, StoresResults

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_pixverse.api.results import JobResult


class PixverseDownloadOperator(StoresResults, BaseOperator):
    """
    Store the file of a result in object storage.

    Use it for a result that exists already, such as one that was submitted elsewhere. The submit operator and
    the job sensor store their results themselves, with ``output_path``.

    XCom: the result with ``path``, ``bytes``, ``content_type`` and ``sha256``; a list of such objects where a
    list was given.

    :param result: a result, such as the XCom of the submit operator or of the job sensor; an object with its
        ``id`` or its ``url``; the id of a job; or a list of these (templated). If it has no
        URL, or the URL has expired, the operator fetches a new one.
    :param output_path: the folder to store it in, such as ``s3://bucket/videos/`` (templated).
    :param file_name: name of the file, with the fields ``{type}``, ``{number}`` and ``{ext}`` (templated).
    :param max_bytes: size limit of a file, in bytes; 5 GiB unless set.
    :param pixverse_conn_id: id of the connection that holds the API token (templated). The token is not sent
        to the server of the file.
    :raises ValueError: a parameter cannot be used; the message names it.
    """

    template_fields: Sequence[str] = ("pixverse_conn_id", "result", *OUTPUT_FIELDS)
    template_fields_renderers: ClassVar[dict[str, str]] = {"result": "json"}
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        result: Any,
        output_path: str | ObjectStoragePath,
        file_name: str = DEFAULT_FILE_NAME,
        max_bytes: int = DEFAULT_MAX_BYTES,
        pixverse_conn_id: str = PixverseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pixverse_conn_id = pixverse_conn_id
        self.result = result
        check_at_parse(self, parse_conn_id, pixverse_conn_id)
        check_at_parse(self, parse_results, result)
        check_at_parse(self, lambda value: parse_storage_uri(value, "output_path"), output_path)
        self._set_output(output_path, file_name, max_bytes)

    @cached_property
    def hook(self) -> PixverseHook:
        """The hook of this task."""
        return PixverseHook(self.pixverse_conn_id)

    def execute(self, context: Context) -> Any:
        """Store the result, and return it."""
        try:
            parse_conn_id(self.pixverse_conn_id)
            given = parse_results(self.result)
            self._destination()  # before the first request
            results = given if isinstance(given, list) else [given]
            values = self._store_results(context, [self._completed(one) for one in results])
        except (ValueError, PixverseFatalError) as error:
            raise AirflowFailException(str(error)) from error
        return values if isinstance(given, list) else values[0]

    def _completed(self, given: dict[str, Any]) -> JobResult:
        """Return a completed result, or raise the reason why there is none."""
        from airflow_pixverse.api.http.url_redaction import redacted_url
        from airflow_pixverse.api.kinds import COMPLETED
        from airflow_pixverse.api.results import RESULT

        result = RESULT.validate_python(given, context={})
        if result.state is None:
            result = result.model_copy(update={"state": COMPLETED})
        if not result.is_completed and result.id is not None:
            result = self.hook.get_result(result.id, result.kind)
            result.raise_for_failure()
        if not result.is_completed:
            name = result.id or redacted_url(result.url or "")
            raise PixverseFatalError(f"result {name} is not there: is its job finished?")
        return result
