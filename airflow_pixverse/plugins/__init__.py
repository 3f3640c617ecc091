"""Plugins of Airflow."""
