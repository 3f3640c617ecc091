"""The useapi.net PixVerse API itself; nothing in here knows Airflow."""
