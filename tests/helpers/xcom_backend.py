"""An XCom backend of somebody's own, which would upload."""

try:
    from airflow.sdk.bases.xcom import BaseXCom
except ImportError:  # Airflow 2
    from airflow.models.xcom import BaseXCom


class Uploading(BaseXCom):
    """Is never asked to, in a triggerer."""
