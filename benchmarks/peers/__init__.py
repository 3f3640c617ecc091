"""The same prompts made in five ways, in a real Airflow on the simulator; `make bench-peers` runs this."""
