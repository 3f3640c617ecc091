"""PixverseBatchOperator: make each row of a table, in one task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_pixverse.batch.rows import DEFAULT_FILE_NAME, RowPlan, literals_of, parse_batch_file_name
from airflow_pixverse.batch.table import parse_rows
from airflow_pixverse.batch.template import columns_of, fill
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.parameters import (
    as_json_list,
    check_at_parse,
    from_json,
    parse_choice,
    parse_conn_id,
    parse_count,
    parse_emails,
    parse_max_bytes,
    parse_seconds,
    parse_slots,
    short_form,
    with_references,
)
from airflow_pixverse.storage.destination import DEFAULT_MAX_BYTES
from airflow_pixverse.storage.paths import parse_optional_storage_uri, parse_storage_uri
from airflow_pixverse.submission.request import parse_endpoint

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_pixverse.batch.run import BatchParameters, BatchRun
    from airflow_pixverse.batch.table import Columns

_REMADE = ("failed", "moderated", "unknown")


class PixverseBatchOperator(BaseOperator):
    """
    Make each row of a table once, and store the results in a folder, in one task on one worker.

    **A folder never pays twice for the same row, whichever try, clear, run or DAG comes to it.** Where it
    cannot be known whether PixVerse accepted a row, it is ``unknown`` and left alone until a person decides.
    A row is what is sent for it: ``endpoint``, ``payload`` and ``key``. So a table may be sorted again and
    grow.

    The XCom is the summary: ``folder``, ``manifest``, ``rows``, ``distinct``, ``made``, ``counts``,
    ``cost_credits`` and ``stopped``.

    Source: "Create a video using text prompt or image" (``POST videos/create``) and the other kinds, and
    "Retrieve the list of videos currently running via the API along with the available account capacity".

    :param rows: path of a CSV or JSON Lines file in object storage (templated), or a list of objects, whose
        cells are no templates.
    :param payload: what to send for a row. ``{column}`` is the cell of a row, ``{column:int}``, ``:float``,
        ``:bool`` and ``:json`` are its value of that type; an empty cell that is a whole value drops its key
        (templated).
    :param folder: the folder for results, the manifest, and what it remembers of each row (templated).
    :param endpoint: any endpoint below ``videos/``, ``images/``, ``music/`` or ``speech/`` (templated).
    :param emails: the accounts that may make the rows; None for all accounts (templated).
    :param key: what names a row beside its payload, such as ``{id}``: two rows of one payload are two rows if
        it differs. None for the payload alone (templated).
    :param file_name: name of a row's file, with the fields ``{key}``, ``{type}``, ``{number}``, ``{ext}`` and
        columns (templated).
    :param input_folder: the folder of all files that rows name under keys such as ``first_frame_path``, which
        may not leave it; None if rows may name any file that the worker can read (templated).
    :param pixverse_conn_id: id of the connection that holds the API token (templated).
    :param max_bytes: size limit of a file, in bytes; 5 GiB unless set.
    :param max_slots: slots that it takes at most; None for all that are free.
    :param keep_free: slots that it leaves to others.
    :param max_credits: what the rows of this run may cost; None for no limit. Reached, what runs is brought
        home, and the task fails without retry.
    :param min_credits: credits that an account keeps: it gets a row only if it has more, by what the row may
        cost. If none has, the task fails without retry. None for what the connection's extra says.
    :param max_refusals: how many refusals (429) in a row are waited out.
    :param poke_interval: seconds, or a timedelta, between two polls.
    :param completion_timeout: seconds, or a timedelta, from the submit, after which a job is left to a retry.
    :param remake: ends of other runs that are made again, and paid for again: ``failed``, ``moderated``, and
        ``unknown``, which may pay twice (templated).
    :param fail_on: fail if ``any`` row has not been made, or if ``all`` have not, or for ``none``.
    :raises ValueError: a parameter cannot be used; the message names it.
    """

    # Airflow's registry of providers asks each class for itself whether its job outlives a crash.
    __supports_durable_execution = True

    template_fields: Sequence[str] = (
        *("rows", "payload", "folder", "endpoint", "emails", "key", "file_name", "input_folder"),
        *("pixverse_conn_id", "remake"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"payload": "json"}
    ui_color = "#e3dcf5"

    def __init__(
        self,
        *,
        rows: str | ObjectStoragePath | Sequence[Mapping[str, Any]],
        payload: Mapping[str, Any],
        folder: str | ObjectStoragePath,
        endpoint: str = "videos/create",
        emails: str | Iterable[str] | None = None,
        key: str | None = None,
        file_name: str = DEFAULT_FILE_NAME,
        input_folder: str | ObjectStoragePath | None = None,
        pixverse_conn_id: str = PixverseHook.default_conn_name,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_slots: int | None = None,
        keep_free: int = 0,
        max_credits: int | None = None,
        min_credits: int | None = None,
        max_refusals: int = 10,
        poke_interval: timedelta | float = 5.0,
        completion_timeout: timedelta | float = timedelta(days=1),
        remake: Sequence[str] = (),
        fail_on: Literal["any", "all", "none"] = "any",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rows = as_json_list(rows)
        self.payload = payload
        self.folder = folder
        self.endpoint = endpoint
        self.emails = as_json_list(emails)
        self.key = key
        self.file_name = file_name
        self.input_folder = input_folder
        self.pixverse_conn_id = pixverse_conn_id
        self.remake = as_json_list(remake)
        self.max_bytes = parse_max_bytes(max_bytes)
        self.max_slots = None if max_slots is None else parse_slots(max_slots, "max_slots")
        self.keep_free = parse_count(keep_free, "keep_free")
        self.max_credits = None if max_credits is None else parse_count(max_credits, "max_credits")
        self.min_credits = None if min_credits is None else parse_count(min_credits, "min_credits")
        self.max_refusals = parse_count(max_refusals, "max_refusals")
        self.poke_interval = parse_seconds(poke_interval, "poke_interval")
        self.completion_timeout = parse_seconds(completion_timeout, "completion_timeout")
        self.fail_on = parse_choice(fail_on, "fail_on", ("any", "all", "none"))
        check_at_parse(self, parse_rows, self.rows)
        check_at_parse(self, parse_payload_template, payload)
        check_at_parse(self, lambda value: parse_storage_uri(value, "folder"), folder)
        check_at_parse(self, parse_endpoint, endpoint)
        check_at_parse(self, parse_emails, self.emails)
        check_at_parse(self, parse_key, key)
        check_at_parse(self, parse_batch_file_name, file_name)
        check_at_parse(self, lambda value: parse_optional_storage_uri(value, "input_folder"), input_folder)
        check_at_parse(self, parse_conn_id, pixverse_conn_id)
        check_at_parse(self, parse_remake, self.remake)
        self._run: BatchRun | None = None

    def render_template(self, content: Any, context: Context, *args: Any, **kwargs: Any) -> Any:
        """Render a template. A list of ``rows`` holds the cells of a table, which are none."""

        def render(value: Any) -> Any:
            return super(PixverseBatchOperator, self).render_template(value, context, *args, **kwargs)

        if content is self.rows and not isinstance(content, str):
            return with_references(content, render)
        return render(content)

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the rows that the folder does not have, and return the summary."""
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_pixverse.batch.run import BatchRun
        from airflow_pixverse.journal import TaskTry
        from airflow_pixverse.storage.lineage import add_folder_to_asset_events

        ti, task_try = context["ti"], TaskTry.of(context)
        mapped = "" if task_try.map_index < 0 else f"-{task_try.map_index}"
        try:
            parameters = self._parameters(f"{self.task_id}{mapped}.csv")
        except ValueError as error:
            raise AirflowFailException(str(error)) from error
        self._run = BatchRun(parameters, task_try, lambda key, value: ti.xcom_push(key=key, value=value))
        summary = self._run.run()
        paths = [path for row in self._run.made if row.record for path in row.record.paths]
        facts = {"path": summary["folder"], "manifest": summary["manifest"], "counts": summary["counts"]}
        add_folder_to_asset_events(context, self.outlets, facts, paths)
        return summary

    def on_kill(self) -> None:
        """End the loop: what is being sent is recorded first, and the task does not succeed."""
        if self._run:
            self._run.kill()

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return the inputs, the folder and the files of this table for OpenLineage."""
        from airflow_pixverse.storage.lineage import operator_lineage

        rows = self._run.rows if self._run else []
        paths = [path for row in rows if row.record for path in row.record.paths]
        inputs = [file.uri for row in rows if row.request for file in row.request.inputs]
        return operator_lineage(inputs, [str(self.folder), *paths])

    def _payload_maker(self) -> tuple[Callable[[Columns], Any], frozenset[str]]:
        """Return what makes the payload of a row, and the strings in it that no row can change."""
        template = parse_payload_template(self.payload)
        return lambda columns: fill(template, columns), literals_of(template)

    def _parameters(self, manifest: str) -> BatchParameters:
        """
        Return the rendered parameters, parsed.

        :param manifest: name of the manifest.
        :raises ValueError: one cannot be used; the message names it.
        """
        from airflow_pixverse.batch.room import Limits
        from airflow_pixverse.batch.run import BatchParameters

        maker, literals = self._payload_maker()
        emails = parse_emails(self.emails)
        return BatchParameters(
            table=parse_rows(self.rows),
            plan=RowPlan(
                payload=maker,
                endpoint=parse_endpoint(self.endpoint),
                emails=emails,
                key=parse_key(self.key),
                file_name=parse_batch_file_name(self.file_name),
                input_folder=parse_optional_storage_uri(self.input_folder, "input_folder"),
                literals=literals,
            ),
            folder=parse_storage_uri(self.folder, "folder"),
            pixverse_conn_id=parse_conn_id(self.pixverse_conn_id),
            limits=Limits(
                emails=emails,
                max_slots=self.max_slots,
                keep_free=self.keep_free,
                max_refusals=self.max_refusals,
            ),
            max_bytes=self.max_bytes,
            max_credits=self.max_credits,
            min_credits=self.min_credits,
            poke_interval=self.poke_interval,
            completion_timeout=self.completion_timeout,
            remake=parse_remake(self.remake),
            fail_on=self.fail_on,
            manifest=manifest,
        )


def parse_payload_template(value: Any, name: str = "payload") -> Mapping[str, Any]:
    """Return the template of payloads, an object, also if it was rendered to a string."""
    if isinstance(value, str):
        value = from_json(value)
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{name} must be an object, such as {{'prompt': '{{prompt}}'}}, not {short_form(value)}"
        )
    _check_fields(value, name)
    return value


def _check_fields(template: Any, name: str) -> None:
    """Raise a ValueError that names the parameter if a field of a template cannot be used."""
    try:
        list(columns_of(template))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def parse_key(value: Any, name: str = "key") -> str | None:
    """Return the template of what names a row; None if not set."""
    if value is not None and not (isinstance(value, str) and value.strip()):
        raise ValueError(f"{name} must be a string such as '{{id}}', not {short_form(value)}")
    _check_fields(value, name)
    return value


def parse_remake(value: Any, name: str = "remake") -> frozenset[str]:
    """Return the ends that are made again, given as a list or as one string."""
    names = parse_emails(value, name) if value else []
    if unknown := set(names or ()) - set(_REMADE):
        raise ValueError(f"{name} may hold {', '.join(map(repr, _REMADE))}, not {short_form(min(unknown))}")
    return frozenset(names or ())
