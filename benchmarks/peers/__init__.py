"""The same prompts made in six ways, in a real Airflow on the simulator; `make bench-peers` runs this."""
