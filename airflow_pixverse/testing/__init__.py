"""
A pytest plugin to test DAGs that use PixVerse; pytest loads it in every environment with this package.

:mod:`~airflow_pixverse.testing.plugin` has the fixtures ``pixverse_simulator`` and ``run_dag``.
"""
