"""@task.pixverse inside Airflow: functions that return what is submitted."""

import pytest

from tests.helpers.submits import PROMPT, ending_jobs, prompts, run_function


def test_a_payload_of_any_size_travels_through_the_triggerer(sim):
    def make():
        return {"prompt": "a cat", "number": 2**80}

    with ending_jobs(sim):
        outcome = run_function(make, deferrable=True)
    assert outcome.state("make") == "success"
    assert sim.submitted()[0].payload["number"] == 2**80


def test_the_function_runs_once_a_try_and_its_prompt_is_no_template(sim):
    calls = []

    def make(animal, ds=None):
        calls.append(ds)
        return {"prompt": f"{{{{ {animal} }}}}"}

    with ending_jobs(sim):
        assert run_function(make, "cat", deferrable=True).state("make") == "success"
    assert len(calls) == 1
    assert prompts(sim) == ["{{ cat }}"]


def test_a_function_that_fails_is_retried(sim):
    def make(ti):
        if ti.try_number == 1:
            raise ValueError("the table cannot be read")
        return PROMPT

    with ending_jobs(sim):
        outcome = run_function(make)
    assert outcome.end("make") == ("success", 2)


@pytest.mark.parametrize("returned", ["a cat", None, {"prompt": object()}])
def test_what_a_function_returns_must_be_a_payload(sim, returned, logged):
    def make():
        return returned

    assert run_function(make).end("make") == ("failed", 1)
    assert "payload must be" in logged()
    assert prompts(sim) == []
