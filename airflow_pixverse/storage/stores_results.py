"""StoresResults: the mix-in of operators that store results in object storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_pixverse.capabilities import has_mapped_argument
from airflow_pixverse.parameters import check_at_parse, parse_max_bytes
from airflow_pixverse.storage.destination import Destination, parse_file_name
from airflow_pixverse.storage.paths import parse_optional_storage_uri

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.hooks.pixverse import PixverseHook

OUTPUT_FIELDS = ("output_path", "file_name")
"""The templated fields."""


class StoresResults:
    """
    A mix-in for operators that store results.

    The operator calls :meth:`_set_output` in its ``__init__``.
    """

    outlets: list[Any]

    if TYPE_CHECKING:

        @property
        def hook(self) -> PixverseHook:
            """The hook of the task."""

    def _set_output(
        self, output_path: str | ObjectStoragePath | None, file_name: str, max_bytes: int
    ) -> None:
        """Set and check the parameters."""
        self.output_path = output_path
        self._has_output_path = output_path is not None
        self.file_name = file_name
        self.max_bytes = parse_max_bytes(max_bytes)
        check_at_parse(self, lambda value: parse_optional_storage_uri(value, "output_path"), output_path)
        check_at_parse(self, parse_file_name, file_name)
        self._input_uris: list[str] = []
        self._stored_paths: list[str] = []

    @property
    def stores_results(self) -> bool:
        """
        Whether the task has an ``output_path``, regardless of the value that it is rendered or mapped to.

        The DAG's author may give one, or a cluster policy that sets the attribute later.
        """
        given = self._has_output_path or self.output_path is not None
        return given or has_mapped_argument(self, "output_path")

    def _check_output(self) -> None:
        """
        Check the rendered parameters, if the task stores results.

        :raises ValueError: a parameter cannot be used; the message names it.
        """
        if self.stores_results:
            self._destination()

    def _check_writable(self) -> None:
        """
        Check that the folder can be written to, if the task stores results.

        :raises StorageError: it cannot.
        """
        if self.stores_results:
            from airflow_pixverse.storage.atomic_file import check_writable
            from airflow_pixverse.storage.paths import object_path

            check_writable(object_path(self._destination().folder))

    def _destination(self) -> Destination:
        """
        Return the destination of the results.

        :raises ValueError: a rendered parameter cannot be used; the message names it.
        """
        return Destination.parse(self.output_path, self.file_name, self.max_bytes)

    def _store_results(self, context: Context, results: Sequence[JobResult]) -> list[dict[str, Any]]:
        """
        Store results, and return them in their JSON form.

        :raises PixverseError: a file does not arrive.
        :raises StorageError: a file cannot be written.
        """
        from airflow_pixverse.storage.lineage import add_to_asset_events
        from airflow_pixverse.storage.result_files import store_results

        values = store_results(results, self._destination(), self.hook)
        self._stored_paths = [value["path"] for value in values if "sha256" in value]
        add_to_asset_events(context, self.outlets, values)
        return values

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return the uploaded and stored files for OpenLineage."""
        from airflow_pixverse.storage.lineage import operator_lineage

        return operator_lineage(self._input_uris, self._stored_paths)
