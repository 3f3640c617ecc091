"""SubmitRequest: the job that a task submits, the parsers of its parts, and the ``replyRef`` of tasks."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast
from urllib.parse import quote, unquote

from airflow_pixverse.api.kinds import FOLDERS, is_endpoint
from airflow_pixverse.api.reply_ref import MAX_PREFIX, prefix_of
from airflow_pixverse.parameters import from_json, parse_emails, short_form
from airflow_pixverse.storage.inputs import Input, inputs_of, tagged, with_uploads

if TYPE_CHECKING:
    from airflow_pixverse.journal import TaskTry

_SCHEME = "airflow:"
_NAMES = re.compile(r"airflow:(?P<dag>[^/]+)/(?P<run>[^/]+)/(?P<task>[^/]+)/(?P<index>-1|[0-9]{1,9})")
_DIGEST = re.compile(r"airflow:[0-9a-f]{64}")


@dataclass(frozen=True)
class SubmitRequest:
    """
    The job that a task submits.

    :param endpoint: such as ``videos/create``.
    :param payload: the payload as the user gave it, plain JSON.
    :param emails: the accounts that may make it; None for all accounts.
    :param reply_ref: the beginning of the ``replyRef``; None for the task's own name.
    :param uploaded: the payload as it is sent, its inputs uploaded. None if it has none, or they are not
        uploaded yet.
    """

    endpoint: str
    payload: dict[str, Any]
    emails: Sequence[str] | None = None
    reply_ref: str | None = None
    uploaded: dict[str, Any] | None = None

    @classmethod
    def parse(
        cls, endpoint: Any, payload: Any, emails: Any, reply_ref: Any, *, is_parsed: bool = False
    ) -> Self:
        """
        Return the request that an operator's rendered parameters stand for.

        The account and the reference that the payload names count, where the parameters name none.

        :param is_parsed: whether the payload is that of an earlier request, which travelled with the task.
        :raises ValueError: a parameter cannot be used; the message names it.
        """
        from airflow_pixverse.api.scheduler import email_keys

        payload = payload if is_parsed else parse_payload(payload)
        accounts = parse_emails(emails)
        if payload.get("email") is not None:
            own = parse_emails(payload["email"], "email of the payload")
            if accounts is not None and email_keys(accounts) != email_keys(own or ()):
                raise ValueError(
                    "emails is given, and the payload has another email: give only one of the two"
                )
            accounts = own
        if reply_ref is None:
            reply_ref = payload.get("replyRef")
        return cls(parse_endpoint(endpoint), payload, accounts, parse_reply_ref(reply_ref))

    @property
    def inputs(self) -> list[Input]:
        """The files that the payload names."""
        return list(inputs_of(self.payload))

    def with_uploads(self, upload: Callable[[Input], str]) -> Self:
        """
        Return the request with its inputs uploaded.

        :param upload: uploads a file, and returns what to put in its place.
        """
        return replace(self, uploaded=with_uploads(self.payload, upload)) if self.inputs else self

    @property
    def fingerprint(self) -> str:
        """A text that is equal for equal endpoints and payloads, and reveals none of their content."""
        return fingerprint([self.endpoint.rstrip("/"), self.payload])

    def account(self, accounts: Sequence[dict[str, Any]]) -> str | None:
        """
        Return the account to send it to; None if the service is to choose one.

        :param accounts: those with room, the one that is to be used first.
        """
        if self.emails is None:
            return None
        first = next((account["email"] for account in accounts if account.get("email")), None)
        return first or self.emails[0]

    def body(self, *, reference: str, seed: int | None, email: str | None) -> dict[str, Any]:
        """
        Return the body of the POST: the payload, and what tells the job from others.

        :param reference: its ``replyRef``.
        :param seed: a seed that was chosen for it; None to send none.
        :param email: the account; None to let the service choose.
        """
        added: dict[str, Any] = {"replyRef": reference}
        if seed is not None:
            added["seed"] = seed
        if email is not None:
            added["email"] = email
        return (self.uploaded or self.payload) | added


def fingerprint(value: Any) -> str:
    """Return a text that is equal for equal values, and reveals none of their content."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def parse_endpoint(value: Any, name: str = "endpoint") -> str:
    """Return the path of an endpoint that makes videos, images, music or speech."""
    if not isinstance(value, str) or not is_endpoint(value.strip()):
        *folders, last = (f"{folder}/" for folder in FOLDERS.values())
        raise ValueError(
            f"{name} must be a path below {', '.join(folders)} or {last}, such as videos/create, "
            f"not {short_form(value)}"
        )
    return value.strip()


def parse_payload(value: Any, name: str = "payload") -> dict[str, Any]:
    """Return a payload, an object of plain JSON, its inputs tagged, also if it was rendered to a string."""
    if isinstance(value, str):
        value = from_json(value)
    value = tagged(value)
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, such as {{'prompt': 'a cat'}}, not {short_form(value)}")
    try:
        copied = json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name} must be plain JSON: {error}") from None
    return cast("dict[str, Any]", copied)


def parse_reply_ref(value: Any, name: str = "reply_ref") -> str | None:
    """Return the beginning of a ``replyRef``; None if not set."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= MAX_PREFIX:
        raise ValueError(
            f"{name} must be a printable string of 1 to {MAX_PREFIX} characters, not {short_form(value)}"
        )
    return value


class TaskName(NamedTuple):
    """The names of a task; the index is -1 if it is not mapped."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


def task_prefix(task: TaskTry | TaskName) -> str:
    """
    Return the beginning of a task's ``replyRef``: ``airflow:dag/run/task/index``, percent-encoded.

    Where that is too long for the API, it is a digest of it.
    """
    parts = (task.dag_id, task.run_id, task.task_id, str(task.map_index))
    prefix = _SCHEME + "/".join(quote(part, safe="") for part in parts)
    if len(prefix) <= MAX_PREFIX:
        return prefix
    return _SCHEME + hashlib.sha256(prefix.encode()).hexdigest()


def is_of_a_task(reply_ref: str | None) -> bool:
    """Return whether a ``replyRef`` was made by a task of this package, here or in another Airflow."""
    prefix = prefix_of(reply_ref)
    return bool(_NAMES.fullmatch(prefix) or _DIGEST.fullmatch(prefix))


def task_name_of(reply_ref: str | None) -> TaskName | None:
    """
    Return the names of the task that made a ``replyRef``, the inverse of :func:`task_prefix`.

    None if it tells none: another program made it, or it is only a digest of them.
    """
    match = _NAMES.fullmatch(prefix_of(reply_ref))
    if match is None:
        return None
    dag_id, run_id, task_id = map(unquote, match.group("dag", "run", "task"))
    return TaskName(dag_id, run_id, task_id, int(match["index"]))
