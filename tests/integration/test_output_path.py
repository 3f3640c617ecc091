"""Results with an ``output_path``: nothing is paid for that would be kept nowhere."""

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.operators.pixverse import PixverseDownloadOperator, PixverseSubmitOperator
from airflow_pixverse.sensors.job import PixverseJobSensor
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.submits import PROMPT, downloads, ending_jobs, posts

QUICK = {"poke_interval": 0.2, "retries": 1, "retry_delay": 0}
SAID = "output_path came out as"


@pytest.fixture
def finished(sim):
    """The id of a job whose result is there."""
    job_id = sim.start_job()
    sim.end_job(job_id)
    return job_id


def operators(job_id):
    """The operators that store results, and what each needs besides."""
    return {
        "submit": (PixverseSubmitOperator, {"payload": PROMPT, **QUICK}),
        "sensor": (PixverseJobSensor, {"job_id": job_id, "deferrable": True, **QUICK}),
        "download": (PixverseDownloadOperator, {"result": job_id, "retries": 1, "retry_delay": 0}),
    }


@task
def nothing(value):
    """Return a path that is none."""
    return value


def assert_refused(sim, outcome, logged, tasks, n=1):
    """So many tasks have failed, each without a retry and without a request that costs."""
    refused = {task_id: states for task_id, states in outcome.states.items() if "nothing" not in task_id}
    assert refused == {task_id: ["failed"] * n for task_id in refused}
    assert [outcome.tries[task_id] for task_id in refused] == [[1] * n] * tasks
    assert posts(sim) == []
    assert downloads(sim) == []
    assert logged().count(SAID) >= n * tasks


@pytest.mark.parametrize("native", [False, True])
def test_template_that_renders_to_nothing_ends_the_task(sim, finished, native, logged):
    templates = ["{{ none }}", "{{ params.folder }}"] if native else ["{{ '' }}", " {{ params.folder }} "]
    with new_dag("template", render_template_as_native_obj=native, params={"folder": None}) as dag:
        for kind, (operator, kwargs) in operators(finished).items():
            for number, template in enumerate(templates):
                operator(task_id=f"{kind}_{number}", output_path=template, **kwargs)
    assert_refused(sim, run(dag), logged, tasks=6)


def test_xcom_that_is_nothing_ends_the_task(sim, finished, logged):
    with new_dag("xcom") as dag:
        for number, value in enumerate([None, "", "None"]):
            path = nothing.override(task_id=f"nothing_{number}")(value)
            for kind in ("submit", "sensor"):
                operator, kwargs = operators(finished)[kind]
                operator(task_id=f"{kind}_{number}", output_path=path, **kwargs)
    assert_refused(sim, run(dag), logged, tasks=6)


def mapped_over(paths, how, partial):
    """Map a task over paths in one of the ways to do so."""
    kwargs = [{"output_path": path} for path in paths]

    @task
    def values():
        return paths if how == "expand_xcom" else kwargs

    match how:
        case "expand":
            partial.expand(output_path=paths)
        case "expand_kwargs":
            partial.expand_kwargs(kwargs)
        case "expand_xcom":
            partial.expand(output_path=values())
        case "expand_kwargs_xcom":
            partial.expand_kwargs(values())


@pytest.mark.parametrize("how", ["expand", "expand_kwargs", "expand_xcom", "expand_kwargs_xcom"])
def test_mapped_value_that_is_nothing_ends_its_instance(sim, finished, how, tmp_path):
    kinds = operators(finished)
    with new_dag("mapped") as dag:
        for kind, (operator, kwargs) in kinds.items():
            paths = [f"file://{tmp_path}/{kind}", None]
            mapped_over(paths, how, operator.partial(task_id=kind, **kwargs))
    with ending_jobs(sim):
        outcome = run(dag)
    for kind in kinds:
        assert outcome.states[kind] == ["success", "failed"]
        assert outcome.tries[kind] == [1, 1]
        assert len(list((tmp_path / kind).iterdir())) == 1
    assert len(posts(sim)) == 1


@pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.2))
def test_task_without_an_output_path_stores_nothing(sim, finished):
    with new_dag("nothing") as dag:
        for kind, name in {"submit": "payload", "sensor": "job_id"}.items():
            operator, kwargs = operators(finished)[kind]
            value = kwargs.pop(name)
            for given, path in {"without": {}, "none": {"output_path": None}}.items():
                common = kwargs | path
                operator(task_id=f"{kind}_{given}_alone", **{name: value}, **common)
                operator.partial(task_id=f"{kind}_{given}_expand", **common).expand(**{name: [value]})
                operator.partial(task_id=f"{kind}_{given}_expand_kwargs", **common).expand_kwargs(
                    [{name: value}]
                )
    outcome = run(dag)
    assert outcome.states == {task_id: ["success"] for task_id in outcome.states}
    assert len(outcome.states) == 12
    assert not [result for [result] in outcome.xcoms.values() if "path" in result]
    assert downloads(sim) == []


def test_output_path_that_a_cluster_policy_sets_later_is_stored_in(sim, finished, tmp_path):
    with new_dag("policy") as dag:
        for kind in ("submit", "sensor"):
            operator, kwargs = operators(finished)[kind]
            operator(task_id=kind, **kwargs).output_path = f"file://{tmp_path}/{kind}"
    with ending_jobs(sim):
        outcome = run(dag)
    for kind in ("submit", "sensor"):
        assert outcome.state(kind) == "success"
        assert len(list((tmp_path / kind).iterdir())) == 1


def test_function_whose_output_path_is_nothing_pays_for_nothing(sim, logged):
    with new_dag("decorated") as dag:

        @task.pixverse(output_path=nothing(None), **QUICK)
        def make(prompt):
            return {"prompt": prompt}

        make.expand(prompt=["a cat", "a dog"])
    assert_refused(sim, run(dag), logged, tasks=1, n=2)


def test_mapped_function_with_an_argument_called_output_path_stores_nothing(sim):
    with new_dag("decorated") as dag:

        @task.pixverse(**QUICK)
        def make(output_path):
            return PROMPT | {"place": str(output_path)}

        make.expand(output_path=["here", None])
    with ending_jobs(sim, n=1):
        outcome = run(dag)
    assert outcome.states["make"] == ["success"] * 2
    assert len(posts(sim)) == 2
