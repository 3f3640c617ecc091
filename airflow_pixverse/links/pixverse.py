"""PixverseResultLink: a link from a task to its video, image or sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

XCOM_KEY = "result_url"


class PixverseResultLink(BaseOperatorLink):
    """Links to the result of a job, for as long as PixVerse keeps it there."""

    name = "PixVerse result"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """
        Return the URL of the first result; an empty string if there is none.

        Airflow 3 calls this on the worker, after the task has ended or deferred; Airflow 2 in the webserver.
        """
        if WORKERS_HAVE_DATABASE:
            url = XCom.get_value(key=XCOM_KEY, ti_key=ti_key)
        else:
            url = getattr(operator, "result_url", "")
        return self.shown(url)

    def shown(self, url: object) -> str:
        """Return a URL that may be a link; an empty string for anything else."""
        return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""
