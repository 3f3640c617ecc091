"""Submitting a job once: what is sent, what is noted of it, and what its answer means."""
