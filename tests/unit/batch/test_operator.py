"""PixverseBatchOperator on a worker without Airflow's scheduler, on the simulator."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException

from airflow_pixverse.batch.following import Following
from airflow_pixverse.decorators.pixverse import PixverseBatchDecoratedOperator
from airflow_pixverse.operators.pixverse import PixverseBatchOperator

PAYLOAD = {"prompt": "{prompt}"}
TEMPLATE = "{{ name }} {prompt}"


@pytest.fixture(params=["plain", "decorated"])
def rendered(request):
    """Return a function that renders the ``rows`` of a task."""

    def render(rows):
        given = {"task_id": "campaign", "rows": rows, "folder": "file:///tmp/{{ name }}"}
        with DAG("batch", schedule=None):
            if request.param == "plain":
                task = PixverseBatchOperator(**given, payload=PAYLOAD)
            else:
                task = PixverseBatchDecoratedOperator(**given, python_callable=lambda row: row)
        task.render_template_fields({"name": "fox"})
        assert task.folder == "file:///tmp/fox"
        return task.rows

    return render


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"prompt": TEMPLATE}], [{"prompt": TEMPLATE}]),
        ([{"prompt": "cut {{", "more": ["{{ name }}"]}], [{"prompt": "cut {{", "more": ["{{ name }}"]}]),
        (({"prompt": TEMPLATE},), [{"prompt": TEMPLATE}]),
        ("file:///tmp/{{ name }}.csv", "file:///tmp/fox.csv"),
    ],
)
def test_rows_are_rendered_as_a_string_only(rendered, rows, expected):
    assert rendered(rows) == expected


@pytest.mark.parametrize("key", ["{id:str}", "no {id:int}"])
def test_key_with_a_field_that_cannot_be_filled_in_is_named(key):
    with pytest.raises(ValueError, match=r"^key: \{id:"):
        PixverseBatchOperator(task_id="campaign", rows=[], payload=PAYLOAD, folder="file:///tmp/x", key=key)


@pytest.fixture
def context():
    """The context of a task; its XComs are in ``context["xcoms"]``."""
    names = {"dag_id": "dag", "run_id": "run", "task_id": "campaign", "map_index": -1}
    xcoms = {}
    ti = SimpleNamespace(
        **names, try_number=1, max_tries=0, xcom_push=lambda *, key, value: xcoms.__setitem__(key, value)
    )
    return {"ti": ti, "dag_run": SimpleNamespace(id=1), "xcoms": xcoms}


@pytest.fixture
def campaign(sim, tmp_path):
    """Return a task of two rows, or of others."""

    def make(**parameters):
        defaults = {
            "rows": [{"prompt": "cat 1"}, {"prompt": "cat 2"}],
            "payload": PAYLOAD,
            "folder": (tmp_path / "folder").as_uri(),
            "poke_interval": 0.1,
        }
        return PixverseBatchOperator(task_id="campaign", **(defaults | parameters))

    return make


def test_bug_in_the_loop_is_retried_as_rows_may_be_accepted(campaign, context, monkeypatch):
    def fail(_):
        raise ValueError("a bug")

    monkeypatch.setattr(Following, "go_on", fail)
    with pytest.raises(ValueError, match="a bug"):
        campaign().execute(context)


def test_table_that_cannot_be_used_is_not_retried(sim, campaign, context, tmp_path):
    (tmp_path / "prompts.csv").write_text("prompt\na, fox\n")
    with pytest.raises(AirflowFailException, match="line 2: it has not 1 cells"):
        campaign(rows=f"{tmp_path.as_uri()}/prompts.csv").execute(context)
    assert sim.request_count == 0


@pytest.mark.pixverse_simulator(job_seconds=(600, 600))
def test_kill_of_the_task_ends_its_loop_without_success(sim, campaign, context):
    task = campaign()

    def kill():
        sim.wait_for_submitted(2)
        task.on_kill()

    # Airflow 2 lets an operator be executed in the main thread only.
    with ThreadPoolExecutor(1) as threads:
        killed = threads.submit(kill)
        with pytest.raises(AirflowException, match="ended from outside") as raised:
            task.execute(context)
        killed.result()
    assert not isinstance(raised.value, AirflowFailException)


def test_kill_of_a_task_that_has_not_begun_does_nothing(campaign):
    campaign().on_kill()


@pytest.mark.pixverse_simulator(job_seconds=(0.1, 0.2))
def test_lineage_of_a_batch_has_its_inputs_its_folder_and_its_files(campaign, context, tmp_path):
    pytest.importorskip("airflow.providers.openlineage")
    (tmp_path / "frame.png").write_bytes(b"\x89PNG")
    payload = PAYLOAD | {"first_frame_path": "{frame}"}
    rows = [{"prompt": "cat 1", "frame": "frame.png"}]
    task = campaign(rows=rows, payload=payload, input_folder=tmp_path.as_uri())
    task.execute(context)
    lineage = task.get_openlineage_facets_on_complete(None)
    [file] = (tmp_path / "folder").glob("*.mp4")
    assert [dataset.name for dataset in lineage.inputs] == [f"{tmp_path}/frame.png"]
    assert [dataset.name for dataset in lineage.outputs] == [str(tmp_path / "folder"), str(file)]
