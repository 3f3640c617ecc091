"""The simple auth manager, which can hide DAGs and plugins from users as others can."""

from typing import ClassVar

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class AuthManager(SimpleAuthManager):
    hidden_dags: ClassVar[frozenset[str]] = frozenset()
    may_see_plugins: ClassVar[bool] = True

    def is_authorized_dag(self, *, method, user, access_entity=None, details=None, **kwargs):
        if details is not None and details.id in self.hidden_dags:
            return False
        return super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details, **kwargs
        )

    def is_authorized_view(self, *, access_view, user, **kwargs):
        if access_view is AccessView.PLUGINS and not self.may_see_plugins:
            return False
        return super().is_authorized_view(access_view=access_view, user=user, **kwargs)
