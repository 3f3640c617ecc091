"""Apache Airflow provider for the PixVerse video service behind useapi.net."""

__version__ = "0.1.0"
