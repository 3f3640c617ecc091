"""PixverseResultLink: from a task to the video, image or sound that it had made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

XCOM_KEY = "result_url"


class PixverseResultLink(BaseOperatorLink):
    """Leads to the result of a job, for as long as PixVerse keeps it there."""

    name = "PixVerse result"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002
        """Return the URL of the first result; nothing while there is none."""
        url = XCom.get_value(key=XCOM_KEY, ti_key=ti_key)
        return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""
