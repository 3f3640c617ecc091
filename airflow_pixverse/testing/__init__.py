"""
Help for testing DAGs that use PixVerse: a pytest plugin, which is loaded wherever this package is installed.

:mod:`~airflow_pixverse.testing.plugin` has the fixtures ``pixverse_simulator`` and ``run_dag``.
"""
