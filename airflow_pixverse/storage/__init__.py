"""Files in object storage, all through Airflow's paths: inputs that are uploaded, results that are kept."""
