"""The decorator ``@task.pixverse``."""
