"""Submitting a job once: the request, the POST, lost jobs, the waits, and the delivery of results."""
