"""The capacity page in Airflow's UI; only the API server imports it."""
