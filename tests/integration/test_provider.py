"""The provider as Airflow sees it: its metadata, its connection type, its imports."""

import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.provider_info import get_provider_info
from airflow_pixverse.sensors import pixverse as sensors
from airflow_pixverse.sensors.job import PixverseJobSensor
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from tests.helpers.dag_runs import AIRFLOW

EXPECTED = os.environ.get("AIRFLOW_PIXVERSE_EXPECTED_AIRFLOW")


def airflow_cli(*arguments):
    result = subprocess.run(
        [Path(sys.executable).with_name("airflow"), *arguments], check=True, capture_output=True, text=True
    )
    return result.stdout


@pytest.mark.skipif(not EXPECTED, reason="make test says which Airflow it expects")
def test_the_airflow_at_hand_is_the_one_this_run_is_for():
    assert str(AIRFLOW) == EXPECTED


def test_the_metadata_fits_the_schema_of_airflow():
    schema = json.loads(Path(airflow.__file__).with_name("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_every_module_and_class_in_the_metadata_imports():
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for integration in info[kind]:
            for module in integration["python-modules"]:
                importlib.import_module(module)
    for connection in info["connection-types"]:
        module, name = connection["hook-class-name"].rsplit(".", 1)
        hook = getattr(importlib.import_module(module), name)
        assert connection["connection-type"] == hook.conn_type
        assert connection["hook-name"] == hook.hook_name


def test_airflow_lists_the_provider():
    listed = airflow_cli("providers", "list", "--output", "plain").splitlines()
    [provider] = [line for line in listed if line.startswith("airflow-pixverse")]
    assert provider.split()[-1] == get_provider_info()["versions"][0]


def test_airflow_knows_the_connection_type_and_its_form():
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    assert manager.hooks["pixverse"].hook_class_name == f"{PixverseHook.__module__}.PixverseHook"
    if not (3, 0) <= AIRFLOW.release < (3, 2):  # these two ask the hook only when the form is shown
        assert manager.field_behaviours["pixverse"]["relabeling"]["password"] == "API token"
        assert "login" in manager.field_behaviours["pixverse"]["hidden_fields"]
    if AIRFLOW.release >= (3, 2):
        fields = {name for name in manager.connection_form_widgets if name.startswith("extra__pixverse__")}
        assert fields == {
            f"extra__pixverse__{name}"
            for name in (
                "timeout",
                "max_retries",
                "allow_http",
                "proxy",
                "ca_bundle",
                "allow_private_results",
                "min_credits",
            )
        }


@pytest.mark.skipif(AIRFLOW.release < (3, 1), reason="comes from the providers manager, see above")
def test_the_form_in_the_ui_has_the_right_labels():
    # As the API server does it: before anything else in its process has asked for the hooks.
    code = """if True:
        from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
        for form in HookMetaService.hook_meta_data():
            if form.connection_type == "pixverse":
                print("FORM", form.hook_name, "|", form.standard_fields.password.title)
    """
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "FORM PixVerse | API token" in result.stdout


def test_the_list_of_providers_links_to_the_service():
    url, description = "https://useapi.net/docs/api-pixverse-v2", get_provider_info()["description"]
    if AIRFLOW.release < (3, 0):  # it makes links of what it is told to
        assert f"`useapi.net <{url}>`__" in description
        return
    kind = "services" if AIRFLOW.release >= (3, 1) else "routes"
    api = importlib.import_module(f"airflow.api_fastapi.core_api.{kind}.public.providers")
    # The UI makes a link of an address and all that follows it up to a blank.
    assert url in api._remove_rst_syntax(description).split()


def test_importing_the_hook_imports_neither_the_client_nor_the_models():
    code = """if True:
        import sys
        import airflow_pixverse.hooks.pixverse
        airflow_pixverse.hooks.pixverse.PixverseHook.get_ui_field_behaviour()
        print("IMPORTED", *(name for name in sys.modules if name.startswith("airflow_pixverse.")))
    """
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    imported = set(result.stdout.splitlines()[-1].split())
    assert "airflow_pixverse.hooks.pixverse" in imported
    assert not imported & {"airflow_pixverse.api.client", "airflow_pixverse.api.scheduler"}
    if AIRFLOW.release < (3, 0):  # Airflow 3.3 reads the metadata, and so the form, as soon as it is imported
        assert "airflow_pixverse.hooks.extra" not in imported


def test_importing_the_operators_imports_neither_the_client_nor_the_models():
    """A DAG file is parsed all day, and a client takes longer to import than all operators."""
    assert not modules_with("operators.pixverse") & {"api.client", "api.http.transport", *MODELS}


def test_both_sensors_have_one_address_and_a_dag_file_pays_for_what_it_names():
    assert "sensors.job" not in modules_with("sensors.pixverse")
    assert sensors.PixverseJobSensor is PixverseJobSensor
    with pytest.raises(AttributeError, match="has no attribute 'PixverseSlotSensor'"):
        sensors.PixverseSlotSensor  # noqa: B018


def test_a_client_imports_the_models_of_the_calls_that_are_made_only():
    assert "api.http.transport" in (imported := modules_with("api.client"))
    assert not imported & MODELS


MODELS = {"api.accounts", "api.results", "api.scheduler"}


def modules_with(name):
    """The modules of the package that are imported with one of them."""
    code = f"import sys, airflow_pixverse.{name}; print('IMPORTED', *sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    names = result.stdout.splitlines()[-1].split()
    return {one.removeprefix("airflow_pixverse.") for one in names if one.startswith("airflow_pixverse.")}


def test_importing_it_makes_airflow_warn_of_nothing():
    code = """if True:
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import airflow.providers.common.compat.sdk as sdk, airflow.triggers.base
            sdk.BaseSensorOperator, sdk.BaseOperator, sdk.BaseHook, sdk.conf  # Airflow's own warnings
            del caught[:]
            import airflow_pixverse.hooks.pixverse
            import airflow_pixverse.operators.pixverse
            import airflow_pixverse.sensors.pixverse
            import airflow_pixverse.triggers.pixverse
            from airflow_pixverse.hooks.connection import client_from_connection
            airflow_pixverse.hooks.pixverse.PixverseHook.get_ui_field_behaviour()
            airflow_pixverse.sensors.pixverse.PixverseCapacitySensor(task_id="wait", deferrable=True)
            airflow_pixverse.operators.pixverse.PixverseListExecutingOperator(task_id="list")
            airflow_pixverse.operators.pixverse.PixverseCancelOperator(task_id="cancel", job_id="job")
        for warning in caught:
            print(warning.category.__name__, warning.filename, warning.message)
    """
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    warned = [line for line in result.stdout.splitlines() if "Warning" in line]
    assert warned == []


@pytest.mark.parametrize("kind", [PixverseSubmitOperator, PixverseCapacitySensor, PixverseJobSensor])
def test_operator_that_waits_is_durable_and_deferrable_for_the_registry_of_airflow(kind):
    """As its extraction looks: a mark of the very class, and what ``execute`` reads."""
    assert getattr(kind, f"_{kind.__name__}__supports_durable_execution", None) is True
    assert "deferrable" in inspect.unwrap(kind.execute).__code__.co_names
