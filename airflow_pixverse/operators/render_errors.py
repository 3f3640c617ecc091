"""KeepsRenderErrors: the mix-in of an operator that renders its templates before it knows which it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any


class KeepsRenderErrors:
    """
    A mix-in that keeps the error of a template until its field is needed.

    A retry that brings home a job which is paid for needs few of the fields, and must not fail for another.
    """

    _unrendered: Mapping[str, Exception] = MappingProxyType({})

    if TYPE_CHECKING:
        log: Any

    def check_is_rendered(self, *names: str) -> None:
        """Raise the error of a field that could not be rendered."""
        if error := next((self._unrendered[name] for name in names if name in self._unrendered), None):
            raise error

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], *args: Any, **kwargs: Any
    ) -> None:
        """Render the fields, also of a mapped task."""
        render: Any = super()._do_render_template_fields  # type: ignore[misc]
        if parent is not self:
            render(parent, template_fields, *args, **kwargs)
            return
        for name in template_fields:
            try:
                render(parent, [name], *args, **kwargs)
            except Exception as error:  # noqa: BLE001 - a template may raise anything
                self.log.warning("Could not render %s: %s: %s", name, type(error).__name__, error)
                self._unrendered = {**self._unrendered, name: error}
