"""The decorators ``@task.pixverse`` and ``@task.pixverse_batch``."""
