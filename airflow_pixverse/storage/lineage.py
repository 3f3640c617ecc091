"""Lineage of files for Airflow and OpenLineage: asset events, inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

_PLAIN_IN_URI = "/:@!$&'()*+,;=~%"
_FACTS = ("path", "bytes", "content_type", "sha256", "id")


def add_to_asset_events(context: Context, outlets: Iterable[Any], values: Sequence[dict[str, Any]]) -> None:
    """
    Add stored files to the asset events of a task.

    The extra of an asset's event holds ``path``, ``bytes``, ``content_type``, ``sha256`` and ``id`` of the
    file, or ``files``, a list of such objects, if there is more than one. An alias gets an event for each
    file, of an asset with the file's path as its URI.

    :param outlets: the outlets of the task.
    :param values: the results in their JSON form; results without a file are ignored.
    """
    files: list[dict[str, Any]] = [
        {name: value.get(name) for name in _FACTS} for value in values if "sha256" in value
    ]
    if not files:
        return
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            for file in files:
                context["outlet_events"][outlet].add(_asset(file["path"]), extra=file)
        elif isinstance(outlet, Asset):
            extra: dict[str, Any] = files[0] if len(files) == 1 else {"files": files}
            context["outlet_events"][outlet].extra.update(extra)


def add_folder_to_asset_events(
    context: Context, outlets: Iterable[Any], extra: dict[str, Any], paths: Iterable[str]
) -> None:
    """
    Add a folder, and the files that are new in it, to the asset events of a task.

    :param outlets: the outlets of the task. An asset's event gets ``extra``; an alias gets an event for each
        file, of an asset with the file's path as its URI.
    :param extra: what is known of the folder.
    :param paths: addresses of the new files.
    """
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            for path in paths:
                context["outlet_events"][outlet].add(_asset(path), extra={"path": path})
        elif isinstance(outlet, Asset):
            context["outlet_events"][outlet].extra.update(extra)


def operator_lineage(inputs: Iterable[str], outputs: Iterable[str]) -> OperatorLineage[Any, Any]:
    """
    Return the lineage of a task for OpenLineage.

    :param inputs: addresses of the uploaded files.
    :param outputs: addresses of the stored files.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    def datasets(uris: Iterable[str]) -> list[Any]:
        return [Dataset(*_namespace_and_name(uri)) for uri in dict.fromkeys(uris)]

    return OperatorLineage(inputs=datasets(inputs), outputs=datasets(outputs))


def _asset(path: str) -> Asset:
    # Airflow 2 accepts only ASCII characters in a URI.
    return Asset(quote(_without_connection(path), safe=_PLAIN_IN_URI))


def _namespace_and_name(uri: str) -> tuple[str, str]:
    """Return namespace and name of a dataset in OpenLineage's form for files."""
    scheme, _, path = _without_connection(uri).partition("://")
    if scheme == "file":
        return "file", path
    container, _, key = path.partition("/")
    return f"{scheme}://{container}", key.lstrip("/") or "/"


def _without_connection(uri: str) -> str:
    scheme, _, path = uri.partition("://")
    container, slash, key = path.partition("/")
    return f"{scheme}://{container.rpartition('@')[2]}{slash}{key}"
