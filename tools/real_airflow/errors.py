"""Errors of a real Airflow."""


class AirflowError(Exception):
    """Airflow did not do what it should; the message ends with what its components printed last."""
