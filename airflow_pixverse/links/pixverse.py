"""PixverseResultLink: from a task to the video, image or sound that it had made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

XCOM_KEY = "result_url"


class PixverseResultLink(BaseOperatorLink):
    """Leads to the result of a job, for as long as PixVerse keeps it there."""

    name = "PixVerse result"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """
        Return the URL of the first result; nothing while there is none.

        Airflow 3 asks on the worker, once the task has ended or is deferred, and Airflow 2 in the webserver.
        """
        if WORKERS_HAVE_DATABASE:
            url = XCom.get_value(key=XCOM_KEY, ti_key=ti_key)
        else:
            url = getattr(operator, "result_url", "")
        return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""
