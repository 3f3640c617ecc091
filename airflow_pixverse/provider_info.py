"""The ``apache_airflow_provider`` entry point, where Airflow finds the provider."""

from typing import Any

from airflow_pixverse import __version__
from airflow_pixverse.hooks.connection import CONN_TYPE, UI_FIELD_BEHAVIOUR


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as Airflow's provider-info schema has it."""
    from airflow_pixverse.hooks.extra import form_fields

    def modules(kind: str, *names: str) -> list[dict[str, Any]]:
        paths = [f"airflow_pixverse.{kind}.{name}" for name in ("pixverse", *names)]
        return [{"integration-name": "PixVerse", "python-modules": paths}]

    return {
        "package-name": "airflow-pixverse",
        "name": "PixVerse",
        # The link comes last: Airflow 3 makes one of all that follows the address up to a blank.
        "description": "Have videos, images and sounds made by PixVerse, each paid for once; wait for free "
        "slots and results, through `useapi.net <https://useapi.net/docs/api-pixverse-v2>`__",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "PixVerse",
                "external-doc-url": "https://useapi.net/docs/api-pixverse-v2",
                "tags": ["service"],
            }
        ],
        "hooks": modules("hooks"),
        "operators": modules("operators", "submit", "batch", "download"),
        "sensors": modules("sensors", "job"),
        "triggers": modules("triggers", "job", "release"),
        "task-decorators": [
            {"name": "pixverse", "class-name": "airflow_pixverse.decorators.pixverse.pixverse_task"},
            {
                "name": "pixverse_batch",
                "class-name": "airflow_pixverse.decorators.pixverse.pixverse_batch_task",
            },
        ],
        "extra-links": ["airflow_pixverse.links.pixverse.PixverseResultLink"],
        "config": {
            "pixverse": {
                "description": "The provider of PixVerse.",
                "options": {
                    "page": {
                        "description": "Whether Airflow's UI has the page that shows free slots, executing "
                        "jobs and waiting tasks (Airflow 3.1.1 and later).",
                        "version_added": "0.2.0",
                        "type": "boolean",
                        "example": None,
                        "default": "True",
                    }
                },
            }
        },
        "connection-types": [
            {
                "connection-type": CONN_TYPE,
                "hook-class-name": "airflow_pixverse.hooks.pixverse.PixverseHook",
                "hook-name": "PixVerse",
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": form_fields(),
            }
        ],
    }
