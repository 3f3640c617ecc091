"""SubmitRequest: what a task wants to have made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from airflow_pixverse.api.models import email_keys
from airflow_pixverse.parameters import parse_emails, parse_endpoint, parse_payload, parse_reply_ref
from airflow_pixverse.storage.inputs import Input, inputs_of, with_uploads


@dataclass(frozen=True)
class SubmitRequest:
    """
    What a task wants to have made.

    :param endpoint: such as ``videos/create``.
    :param payload: what the user wants to send; plain JSON.
    :param emails: the accounts that may make it; None for any.
    :param reply_ref: what the user wants the ``replyRef`` to begin with; None for the task's own name.
    :param uploaded: the payload as it is sent, its inputs uploaded; None where it has none, or they are not
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
        """What is equal for equal endpoints and payloads, and tells nothing of what is in them."""
        text = json.dumps([self.endpoint.rstrip("/"), self.payload], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

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
        Return what is sent: the payload, and what tells the job from others.

        :param reference: its ``replyRef``.
        :param seed: a seed that was chosen for it; None to add none.
        :param email: the account; None to add none.
        """
        added: dict[str, Any] = {"replyRef": reference}
        if seed is not None:
            added["seed"] = seed
        if email is not None:
            added["email"] = email
        return (self.uploaded or self.payload) | added
