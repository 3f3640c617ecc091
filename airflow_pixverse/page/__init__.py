"""The capacity page in Airflow's UI. Only the API server imports what is in here."""
