"""Files in object storage through Airflow's paths: inputs to upload, results to store."""
