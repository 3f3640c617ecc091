"""Whatever is lost, killed or paused: no prompt is paid for twice, and none is lost without a word."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from airflow import __version__ as airflow_version

from airflow_pixverse.capabilities import CAN_START_MAPPED_FROM_TRIGGER
from airflow_pixverse.simulator import Simulator, faults
from tests.e2e.patient import patient
from tools.real_airflow import Airflow

DAGS = Path(__file__).parent / "submit_dags"
SIDE_BY_SIDE = {"AIRFLOW__CORE__PARALLELISM": "4"}
# Of a task in submit_dags/.
RETRIES = 5
# On the oldest Airflow in small, since the newest shows it in full.
PROMPTS, JOB_SECONDS = (30, 12) if airflow_version.startswith("3.3.") else (10, 3)
ROWS, KILLS = (200, 10) if airflow_version.startswith("3.3.") else (40, 3)


@pytest.fixture(scope="module")
def lossy(secret):
    """A service with five slots that loses one answer to a submit in five."""
    accounts = {"a-1@example.com": 3, "a-2@example.com": 2}
    with Simulator(accounts, token=f"user:1-{secret}", job_seconds=(JOB_SECONDS, JOB_SECONDS)) as simulator:
        simulator.inject(faults.lost_answer(), times=None, method="POST", share=0.2)
        yield simulator


@pytest.fixture(scope="module")
def shared_simulator(secret):
    """A service with five slots, whose jobs run until they are ended."""
    accounts = {"a-1@example.com": 3, "a-2@example.com": 2}
    with Simulator(accounts, token=f"user:1-{secret}", job_seconds=(3600, 3600)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def quick(secret):
    """A service with twelve slots and short jobs that loses one answer to a submit in five."""
    accounts = {"a-1@example.com": 6, "a-2@example.com": 6}
    with Simulator(accounts, token=f"user:1-{secret}", job_seconds=(1, 3)) as simulator:
        simulator.inject(faults.lost_answer(), times=None, method="POST", share=0.2)
        yield simulator


@pytest.fixture(scope="module")
def airflow(postgresql, shared_simulator, lossy, quick, tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow-that-submits")
    connections = {
        "calm": patient(shared_simulator),
        "lossy": lossy.connection,
        "quick": quick.connection,
    }
    with Airflow(home, [DAGS], SIDE_BY_SIDE, connections=connections, database=postgresql) as airflow:
        yield airflow


@pytest.fixture
def submits(airflow, tmp_path):
    """A function that starts a run which submits prompts."""

    def start(prompts, *, conn="calm"):
        write(tmp_path / "rows.json", prompts)
        return airflow.trigger("submits", {"conn": conn, "rows": str(tmp_path / "rows.json")})

    return start


def write(file, prompts):
    file.write_text(json.dumps([{"prompt": prompt} for prompt in prompts]))


def paid(sim, prompts):
    """Return how often each of these prompts is paid for."""
    counts = Counter(job.payload["prompt"] for job in sim.submitted())
    return {prompt: counts[prompt] for prompt in prompts}


def wait_until_paid(airflow, sim, prompts, n):
    """Wait until ``n`` of these prompts have been accepted: a slot may be kept for a job of another test."""
    airflow.wait_until(lambda: sum(paid(sim, prompts).values()) >= n, lambda: f"{paid(sim, prompts)}")


def end_jobs_until_over(airflow, sim, run):
    """End the jobs of the service as they come, until a run is over; return its task instances."""

    def is_over():
        sim.end_all_jobs()
        return airflow.metadata.run_state(run) in {"success", "failed"}

    airflow.wait_until(is_over, lambda: f"{run} is over: {airflow.outcome(run)}")
    return airflow.outcome(run)


def has_failed_for_good(task):
    """Return whether a task has failed in a retry, with retries left."""
    return task.state == "failed" and 1 < task.try_number <= RETRIES


def urls(outcome):
    return [task.xcom and task.xcom["url"] for task in outcome.mapped("make")]


def test_every_prompt_is_made_once_although_answers_get_lost(airflow, lossy, submits):
    prompts = [f"prompt {number}" for number in range(PROMPTS)]
    run = submits(prompts, conn="lossy")

    outcome = airflow.wait_for(run)
    assert {task.state for task in outcome.mapped("make")} == {"success"}
    assert len(set(urls(outcome))) == PROMPTS
    assert [task.xcom["prompt"] for task in outcome.mapped("make")] == prompts
    assert paid(lossy, prompts) == dict.fromkeys(prompts, 1)
    assert sum(request.status == 429 for request in lossy.requests) <= 10


def test_a_worker_that_is_killed_after_the_service_got_the_job_leaves_it_to_the_retry(airflow, sim, submits):
    sim.inject(faults.late_answer(seconds=3600), method="POST")
    run = submits(["killed after"])
    wait_until_paid(airflow, sim, ["killed after"], 1)
    airflow.worker(run, "make", 0).kill()

    airflow.wait_until_tasks(run, lambda tasks: tasks.mapped("make")[0].state == "deferred")
    outcome = end_jobs_until_over(airflow, sim, run)
    assert outcome.mapped("make")[0].state == "success"
    assert outcome.mapped("make")[0].try_number > 1
    assert outcome.mapped("make")[0].xcom["id"] == sim.submitted(prompt="killed after")[0].id
    assert paid(sim, ["killed after"]) == {"killed after": 1}


def test_a_worker_that_is_killed_between_mark_and_submit_makes_the_retry_say_what_to_look_for(
    airflow, sim, tmp_path
):
    brink = tmp_path / "brink"
    run = airflow.trigger("submits_at_the_brink", {"conn": "calm", "brink": str(brink)})
    airflow.wait_until(brink.exists, lambda: "it is about to submit")
    airflow.worker(run, "make").kill()

    outcome = airflow.wait_for(run)
    assert has_failed_for_good(outcome.task("make"))
    log = airflow.task_log(run, "make")
    assert "It cannot be known whether PixVerse accepted" in log
    assert "with replyRef airflow:submits_at_the_brink/" in log
    assert sim.submitted(prompt="at the brink") == []

    airflow.clear(run, "make")
    assert end_jobs_until_over(airflow, sim, run).task("make").state == "success"
    assert paid(sim, ["at the brink"]) == {"at the brink": 1}


def test_all_of_airflow_is_killed_and_started_again(airflow, sim, submits):
    prompts = [f"blackout {number}" for number in range(8)]
    run = submits(prompts)
    wait_until_paid(airflow, sim, prompts, 5)
    airflow.kill_all()
    airflow.start_all()

    outcome = end_jobs_until_over(airflow, sim, run)
    assert set(paid(sim, prompts).values()) <= {0, 1}
    for prompt, task in zip(prompts, outcome.mapped("make"), strict=True):
        if task.state != "success":  # its POST was under way, and nobody can know of it
            assert "It cannot be known" in airflow.task_log(run, "make", task.map_index), prompt
    assert sum(task.state == "success" for task in outcome.mapped("make")) >= 7


def test_one_of_two_triggerers_dies(airflow, sim, submits):
    prompts = [f"triggerer {number}" for number in range(8)]
    airflow.start_component("triggerer", name="second triggerer")
    airflow.wait_until_healthy()
    run = submits(prompts)
    wait_until_paid(airflow, sim, prompts, 3)
    airflow.pause("triggerer")
    sim.end_all_jobs()
    wait_until_paid(airflow, sim, prompts, 6)
    airflow.resume("triggerer")
    airflow.remove("second triggerer")

    outcome = end_jobs_until_over(airflow, sim, run)
    assert {task.state for task in outcome.mapped("make")} == {"success"}
    assert paid(sim, prompts) == dict.fromkeys(prompts, 1)


def test_the_wait_for_a_slot_takes_no_worker_where_it_begins_in_the_trigger(airflow, sim, forget):
    others = sim.fill()
    forget()
    run = airflow.trigger("submits_from_the_trigger")
    airflow.wait_until_tasks(run, lambda tasks: tasks.task("make").state == "deferred")
    assert airflow.worker_runs(run) == {}
    for job in others:
        sim.end_job(job)

    make = end_jobs_until_over(airflow, sim, run).task("make")
    assert make.state == "success"
    prompt = f"make for {run.run_id}"
    assert paid(sim, [prompt]) == {prompt: 1}
    # To submit, and to return the result. A retry of Airflow's own making (#72716) takes more.
    assert make.try_number > 1 or airflow.worker_runs(run) == {("make", -1): 2}


@pytest.mark.skipif(not CAN_START_MAPPED_FROM_TRIGGER, reason="mapped waits begin on a worker here")
def test_mapped_waits_take_no_worker_where_they_begin_in_the_trigger(airflow, sim, forget):
    others = sim.fill()
    forget()
    run = airflow.trigger("mapped_submits_from_the_trigger", {"conn": "calm"})
    airflow.wait_until_tasks(run, lambda tasks: {task.state for task in tasks.mapped("make")} == {"deferred"})
    assert airflow.worker_runs(run) == {}
    for job in others:
        sim.end_job(job)

    makes = end_jobs_until_over(airflow, sim, run).mapped("make")
    prompts = [f"{run.run_id} and {number}" for number in range(3)]
    assert [task.xcom["prompt"] for task in makes] == prompts
    assert paid(sim, prompts) == dict.fromkeys(prompts, 1)
    # To submit, and to return the result. A retry of Airflow's own making (#72716) takes more.
    runs = airflow.worker_runs(run)
    assert all(task.try_number > 1 or runs["make", task.map_index] == 2 for task in makes)


@pytest.mark.skipif(not CAN_START_MAPPED_FROM_TRIGGER, reason="tasks begin and end on a worker here")
def test_submits_that_begin_and_end_in_the_trigger_take_one_worker_each(airflow, sim):
    run = airflow.trigger("submits_with_one_worker")
    makes = end_jobs_until_over(airflow, sim, run).mapped("make")
    prompts = [f"{run.run_id} and {number}" for number in range(3)]
    assert [task.state for task in makes] == ["success"] * 3
    assert [task.xcom["prompt"] for task in makes] == prompts
    assert [task.xcom["id"] for task in makes] == [sim.submitted(prompt=one)[0].id for one in prompts]
    assert paid(sim, prompts) == dict.fromkeys(prompts, 1)
    runs = airflow.worker_runs(run)
    assert all(task.try_number > 1 or runs["make", task.map_index] == 1 for task in makes)

    # No worker has dropped the journal, and a clear after the success submits all the same.
    airflow.clear(run, "make", 0)
    wait_until_paid(airflow, sim, prompts[:1], 2)
    [cleared, *_] = end_jobs_until_over(airflow, sim, run).mapped("make")
    assert cleared.state == "success"
    assert cleared.xcom["id"] == sim.submitted(prompt=prompts[0])[1].id


def test_a_retry_gets_the_slot_that_is_leased_to_its_earlier_try(airflow, sim, forget):
    """The lease lasts for an hour, and there is no other slot."""
    others = sim.fill()
    sim.end_job(others[0])
    forget()
    run = airflow.trigger("submits_in_its_second_try")
    prompt = f"second try in {run.run_id}"
    wait_until_paid(airflow, sim, [prompt], 1)
    make = end_jobs_until_over(airflow, sim, run).task("make")
    assert (make.state, make.try_number > 1) == ("success", True)
    assert paid(sim, [prompt]) == {prompt: 1}


def test_a_cleared_task_submits_anew(airflow, sim, submits):
    run = submits(["cleared", "left alone"])
    end_jobs_until_over(airflow, sim, run)
    airflow.clear(run, "make", 0)
    wait_until_paid(airflow, sim, ["cleared"], 2)

    outcome = end_jobs_until_over(airflow, sim, run)
    assert [task.state for task in outcome.mapped("make")] == ["success", "success"]
    assert paid(sim, ["cleared", "left alone"]) == {"cleared": 2, "left alone": 1}


def test_a_task_that_is_cleared_while_it_waits_takes_up_its_job(airflow, sim, submits):
    run = submits(["cleared early"])
    wait_until_paid(airflow, sim, ["cleared early"], 1)
    airflow.wait_until_tasks(run, lambda tasks: tasks.mapped("make")[0].state == "deferred")
    airflow.clear(run, "make", 0)
    airflow.wait_until_tasks(run, lambda tasks: tasks.mapped("make")[0].try_number > 1)

    [task] = end_jobs_until_over(airflow, sim, run).mapped("make")
    assert task.state == "success"
    assert task.xcom["id"] == sim.submitted(prompt="cleared early")[0].id
    assert paid(sim, ["cleared early"]) == {"cleared early": 1}


def test_a_success_that_airflow_does_not_take_down_leaves_the_job_to_the_retry(airflow, sim):
    """The task runner of Airflow 3.2 and later calls success callbacks all the same."""
    refuse = (
        "create function refuse() returns trigger as $$ begin "
        "if new.dag_id = 'submits_without_xcom' and new.state = 'success' and new.try_number = 1 "
        "then raise exception 'not now'; end if; return new; end $$ language plpgsql"
    )
    airflow.metadata.execute(refuse)
    airflow.metadata.execute(
        "create trigger refuse before update on task_instance for each row execute function refuse()"
    )
    run = airflow.trigger("submits_without_xcom", {"conn": "calm"})

    make = end_jobs_until_over(airflow, sim, run).task("make")
    assert make.state == "success"
    assert make.try_number > 1
    assert paid(sim, ["not reported"]) == {"not reported": 1}


def test_a_list_that_has_another_order_at_the_retry_makes_no_task_take_the_job_of_another(
    airflow, sim, submits, tmp_path
):
    sim.inject(faults.late_answer(seconds=3600), method="POST", times=2)
    run = submits(["first", "second"])
    workers = []
    for index, prompt in enumerate(["first", "second"]):
        wait_until_paid(airflow, sim, [prompt], 1)
        workers.append(airflow.worker(run, "make", index))
        workers[-1].pause_task()
    write(tmp_path / "rows.json", ["second", "first"])
    airflow.clear(run, "rows")
    airflow.wait_until_tasks(run, lambda tasks: tasks.task("rows").ended == ("success", 2))
    for worker in workers:
        worker.kill()

    outcome = airflow.wait_for(run)
    assert all(map(has_failed_for_good, outcome.mapped("make")))
    assert paid(sim, ["first", "second"]) == {"first": 1, "second": 1}
    assert "with another payload" in airflow.task_log(run, "make", 0)


def manifest(folder):
    """The lines of a batch's manifest."""
    with (folder / "campaign.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_is_made_once_although_its_workers_and_all_of_airflow_are_killed(airflow, quick, tmp_path):
    prompts = [f"row {number}" for number in range(ROWS)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"prompt": prompt}) for prompt in prompts))
    folder = tmp_path / "campaign"
    run = airflow.trigger(
        "makes_a_table", {"rows": f"file://{tmp_path}/rows.jsonl", "folder": folder.as_uri()}
    )
    for kill in range(1, KILLS + 1):
        wait_until_paid(airflow, quick, prompts, kill * ROWS // (KILLS + 2))
        airflow.worker(run, "campaign").kill_task()
    wait_until_paid(airflow, quick, prompts, (KILLS + 1) * ROWS // (KILLS + 2))
    airflow.kill_all()
    airflow.start_all()

    campaign = airflow.wait_for(run).task("campaign")
    assert campaign.try_number > KILLS
    lines = {line["prompt"]: line for line in manifest(folder)}
    unknown = [line for line in lines.values() if line["status"] == "unknown"]
    assert {line["status"] for line in lines.values()} - {"unknown"} == {"stored"}
    assert campaign.state == ("failed" if unknown else "success")
    assert all("It cannot be known whether PixVerse accepted" in line["reason"] for line in unknown)
    assert list(lines) == prompts
    times = paid(quick, prompts)
    assert max(times.values()) == 1
    assert {times[prompt] for prompt, line in lines.items() if line["status"] == "stored"} == {1}
    assert len(list(folder.glob("*.mp4"))) == ROWS - len(unknown)


def test_a_table_that_is_made_calls_nothing_when_it_is_cleared(airflow, quick, tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "a row of its own"}))
    conf = {"rows": f"file://{tmp_path}/rows.jsonl", "folder": (tmp_path / "campaign").as_uri()}
    run = airflow.trigger("makes_a_table", conf)
    assert airflow.wait_for(run).task("campaign").state == "success"
    before = quick.request_count
    airflow.clear(run, "campaign")
    airflow.wait_until_tasks(run, lambda tasks: tasks.task("campaign").try_number > 1)
    assert airflow.wait_for(run).task("campaign").xcom["made"] == 0
    assert quick.request_count == before
