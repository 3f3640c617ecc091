"""The bodies of requests under ``/simulator/``."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, ConfigDict, Field

from airflow_pixverse.simulator.bodies import Body, Text
from airflow_pixverse.simulator.state import Outcome


class FillBody(Body):
    """For how many seconds to fill every slot; null means until the jobs are ended."""

    model_config = ConfigDict(extra="forbid")

    seconds: float | None = None


class JobBody(Body):
    """A job, in the API's own words; ``seconds`` is how long it runs, null means until it is ended."""

    model_config = ConfigDict(extra="forbid")

    email: Text | None = None
    type: Text = "video"
    seconds: float | None = None
    started: AwareDatetime | None = None
    reply_url: Text | None = None
    reply_ref: Text | None = None
    outcome: str = Outcome.COMPLETED.value
    reason: Text | None = None
    website: bool = False


class EndBody(Body):
    """How a job ends; without an outcome, as it would have ended by itself."""

    model_config = ConfigDict(extra="forbid")

    outcome: str | None = None
    reason: Text | None = None


class AccountBody(Body):
    """What to change of an account; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    email: Text
    max_jobs: Annotated[int, Field(ge=0)] = 0
    pending_error: Text | None = None
    credits: Annotated[int, Field(ge=0)] | None = None
    expires: AwareDatetime | None = None


class LinksBody(Body):
    """For how many seconds the URL of a result can be used from now on; null means for ever."""

    model_config = ConfigDict(extra="forbid")

    seconds: float | None


class HeldQuery(Body):
    """How many answers are to be held (0 means none), and for how many seconds at most to wait for that."""

    model_config = ConfigDict(strict=False)

    count: Annotated[int, Field(ge=0)] | None = None
    timeout: Annotated[float, Field(ge=0, le=600)] = 60


class FateBody(Body):
    """What becomes of submitted jobs whose prompt contains ``prompt``; null leaves it open again."""

    model_config = ConfigDict(extra="forbid")

    prompt: Text
    fate: str | None


class FaultBody(Body):
    """A fault by name, with its parameters; how many requests meet it (null means all), and which ones."""

    model_config = ConfigDict(extra="allow")

    fault: str = ""
    times: int | None = 1
    path: Text | None = None
    method: Text | None = None
    share: float = 1
