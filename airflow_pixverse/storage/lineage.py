"""What Airflow and OpenLineage are told of files: asset events, inputs and outputs."""

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
    Tell of stored files in the asset events of a task.

    The extra of an asset's event holds ``path``, ``bytes``, ``content_type``, ``sha256`` and ``id`` of the
    file, or ``files``, a list of such objects, if there is more than one. An alias gets an event for each
    file, of an asset with the file's path as its URI.

    :param outlets: of the task.
    :param values: the results in their JSON form; those without a file are passed over.
    """
    files: list[dict[str, Any]] = [
        {name: value.get(name) for name in _FACTS} for value in values if "sha256" in value
    ]
    if not files:
        return
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            for file in files:
                # Airflow 2 takes no URI but one of ASCII characters.
                uri = quote(_without_connection(file["path"]), safe=_PLAIN_IN_URI)
                context["outlet_events"][outlet].add(Asset(uri), extra=file)
        elif isinstance(outlet, Asset):
            extra: dict[str, Any] = files[0] if len(files) == 1 else {"files": files}
            context["outlet_events"][outlet].extra.update(extra)


def operator_lineage(inputs: Iterable[str], outputs: Iterable[str]) -> OperatorLineage[Any, Any]:
    """
    Return what OpenLineage is told of a task.

    :param inputs: addresses of the files that it has uploaded.
    :param outputs: addresses of the files that it has stored.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    def datasets(uris: Iterable[str]) -> list[Any]:
        return [Dataset(*_namespace_and_name(uri)) for uri in dict.fromkeys(uris)]

    return OperatorLineage(inputs=datasets(inputs), outputs=datasets(outputs))


def _namespace_and_name(uri: str) -> tuple[str, str]:
    """Return namespace and name of a dataset, as OpenLineage writes them of files."""
    scheme, _, path = _without_connection(uri).partition("://")
    if scheme == "file":
        return "file", path
    container, _, key = path.partition("/")
    return f"{scheme}://{container}", key.lstrip("/") or "/"


def _without_connection(uri: str) -> str:
    scheme, _, path = uri.partition("://")
    container, slash, key = path.partition("/")
    return f"{scheme}://{container.rpartition('@')[2]}{slash}{key}"
