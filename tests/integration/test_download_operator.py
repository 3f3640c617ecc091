"""PixverseDownloadOperator inside Airflow: results by id, by URL and from XComs."""

import json

import pytest

from airflow_pixverse.operators.pixverse import PixverseDownloadOperator
from airflow_pixverse.sensors.job import PixverseJobSensor
from airflow_pixverse.simulator import faults
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.submits import downloads


@pytest.fixture
def folder(tmp_path):
    """A folder that does not exist yet."""
    return tmp_path / "results"


def finished_job(sim, **kwargs):
    job_id = sim.start_job(**kwargs)
    sim.end_job(job_id)
    return job_id


def download(result, output_path, **kwargs):
    return download_each({"store": result}, output_path, **kwargs)


def download_each(results, output_path, **kwargs):
    """Run a DAG that downloads each of some results in a task that is named by its key."""
    with new_dag("download") as dag:
        for task_id, result in results.items():
            PixverseDownloadOperator(
                task_id=task_id,
                result=result,
                output_path=output_path,
                **{"retries": 1, "retry_delay": 0, **kwargs},
            )
    return run(dag)


def test_a_job_is_downloaded_by_its_id(sim, folder):
    job_id = finished_job(sim)
    result = download(job_id, f"file://{folder}").xcom("store")
    [stored] = folder.iterdir()
    assert (result["id"], result["path"]) == (job_id, f"file://{stored}")
    assert result["sha256"] == sim.media_sha256(job_id)


def test_a_result_is_downloaded_by_its_url(sim, folder):
    finished_job(sim)
    url = f"{sim.url}/media/1.mp4"
    result = download({"url": url}, f"file://{folder}").xcom("store")
    [stored] = folder.iterdir()
    assert (result["url"], result["path"]) == (url, f"file://{stored}")
    assert [request.path for request in sim.requests] == ["/media/1.mp4"], "the service is asked nothing"


def test_tasks_that_know_no_more_than_a_url_do_not_overwrite_each_others_files(sim, folder):
    ids = [finished_job(sim) for _ in range(3)]
    with new_dag("urls") as dag:
        PixverseDownloadOperator.partial(task_id="store", output_path=f"file://{folder}").expand(
            result=[{"url": f"{sim.url}/media/{n}.mp4"} for n in (1, 2, 3)]
        )
    stored = run(dag).xcoms["store"]
    assert [one["sha256"] for one in stored] == [sim.media_sha256(job_id) for job_id in ids]
    assert {one["path"] for one in stored} == {f"file://{path}" for path in folder.iterdir()}
    assert len(list(folder.iterdir())) == 3


def test_a_list_of_results_makes_a_list(sim, folder):
    given = {}
    for n in (1, 2):
        ids = [finished_job(sim) for _ in range(n)]
        templates = [f"{{{{ '{one}' }}}}" for one in ids]
        given |= {f"list_{n}": ids, f"string_{n}": json.dumps(ids), f"templates_{n}": templates}
    outcome = download_each(given, f"file://{folder}")
    for form in ("list", "string", "templates"):
        for n in (1, 2):
            stored = outcome.xcom(f"{form}_{n}")
            assert [one["id"] for one in stored] == given[f"list_{n}"]
    assert len(list(folder.iterdir())) == 3


def test_the_results_of_a_mapped_task_are_downloaded(sim, folder):
    ids = [finished_job(sim) for _ in range(2)]
    with new_dag("mapped") as dag:
        wait = PixverseJobSensor.partial(task_id="wait", poke_interval=0.2).expand(job_id=ids)
        PixverseDownloadOperator(task_id="all", result=wait.output, output_path=f"file://{folder}/all")
        PixverseDownloadOperator.partial(task_id="each", output_path=f"file://{folder}/each").expand(
            result=wait.output
        )
    outcome = run(dag)
    assert outcome.states["all"] == ["success"]
    assert [one["id"] for one in outcome.xcom("all")] == ids
    assert [one["id"] for one in outcome.xcoms["each"]] == ids
    assert len(list((folder / "all").iterdir())) == len(list((folder / "each").iterdir())) == 2


def test_an_expired_link_is_asked_for_again_by_the_id_of_the_job(sim, folder):
    sim.link_seconds = 3600
    job_id = finished_job(sim)
    old = sim.links.query("/media/1.mp4", sim.service.now)
    sim.expire_links()
    outcome = download({"id": job_id, "url": f"{sim.url}/media/1.mp4{old}"}, f"file://{folder}")
    assert outcome.state("store") == "success"
    assert [request.status for request in downloads(sim)] == [403, 200]


def test_an_expired_link_without_an_id_fails_without_retry(sim, folder, logged):
    sim.link_seconds = 3600
    finished_job(sim)
    outcome = download({"url": f"{sim.url}/media/1.mp4?signature=secret"}, f"file://{folder}")
    assert outcome.end("store") == ("failed", 1)
    assert "leads to nothing (any more): it answered 403" in logged()


def test_a_job_without_a_result_fails_without_retry(sim, folder):
    url = f"{sim.url}/media/1.mp4"
    given = {}
    for end in ("failed", "moderated"):
        job_id = sim.start_job()
        sim.end_job(job_id, end)
        given |= {f"{end}_id": job_id, f"{end}_result": {"id": job_id, "state": end.upper(), "url": url}}
    outcome = download_each(given, f"file://{folder}")
    assert {task_id: outcome.end(task_id) for task_id in given} == dict.fromkeys(given, ("failed", 1))
    assert downloads(sim) == []


def test_a_job_that_is_not_finished_fails_without_retry(sim, folder, logged):
    job_id = sim.start_job()
    result = {"id": job_id, "state": "GENERATING", "url": f"{sim.url}/media/1.mp4"}
    outcome = download_each({"id": job_id, "result": result}, f"file://{folder}")
    assert outcome.end("id") == outcome.end("result") == ("failed", 1)
    assert logged().count("is its job finished?") >= 2
    assert downloads(sim) == []


def test_a_download_by_itself_is_retried(sim, folder):
    sim.inject(faults.status(500), path=".mp4", times=4)
    assert download(finished_job(sim), f"file://{folder}").end("store") == ("success", 2)


def test_what_is_no_result_fails_without_retry(folder, logged):
    templates = enumerate(["{{ [] }}", "{{ '' }}", "{{ {'url': ''} }}", "{{ None }}"])
    given = {f"store_{number}": template for number, template in templates}
    outcome = download_each(given, f"file://{folder}")
    assert {task_id: outcome.end(task_id) for task_id in given} == dict.fromkeys(given, ("failed", 1))
    assert "result " in logged()


def test_several_results_of_one_name_do_not_overwrite_each_other(sim, folder):
    ids = [finished_job(sim) for _ in range(2)]
    results = download(ids, f"file://{folder}", file_name="fox.mp4").xcom("store")
    assert [one["sha256"] for one in results] == [sim.media_sha256(job_id) for job_id in ids]
    assert {one["path"] for one in results} == {f"file://{folder}/fox.mp4", results[1]["path"]}


def test_several_results_of_one_name_and_one_number_do_not_overwrite_each_other(sim, folder):
    one, other = (finished_job(sim) for _ in range(2))
    by_url = {"url": f"{sim.url}/media/1.mp4"}
    results = download([other, by_url, one], f"file://{folder}", file_name="fox.mp4").xcom("store")
    paths = {result["path"] for result in results}
    assert len(paths) == 3
    assert paths == {f"file://{path}" for path in folder.iterdir()}
