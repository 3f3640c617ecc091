"""Apache Airflow provider for the PixVerse video service behind useapi.net."""

__version__ = "0.2.0"
