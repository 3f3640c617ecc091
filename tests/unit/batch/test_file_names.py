"""Names of files: no row's file takes the place of another's, and what is wrong with a name is said."""

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_pixverse.api.kinds import split_job_id
from airflow_pixverse.batch.rows import parse_batch_file_name
from airflow_pixverse.journal.folder import FolderJournal
from airflow_pixverse.storage.paths import object_path
from tests.unit.batch.conftest import running

BY_ID = {"file_name": "{id}.{ext}"}


def journal_of(batch):
    """The journal of the folder, as another process has it."""
    return FolderJournal(object_path(batch.folder.as_uri()))


def fox(prompt):
    """A table whose file has the same name whatever is in it."""
    return [{"prompt": prompt, "id": "fox"}]


@pytest.mark.pixverse_simulator(job_seconds=(3600, 3600))
def test_row_of_a_table_that_runs_at_once_replaces_no_video_that_is_paid_for(sim, batch):
    first = batch.new_run(fox("old"), plan=BY_ID)
    second = batch.new_run(fox("new"), run="another", plan=BY_ID, manifest="another.csv")
    with running(first) as one, running(second) as other:
        sim.wait_for_submitted(2)
        sim.end_job(sim.submitted()[0].id)
        batch.wait_for_record("stored")
        sim.end_all_jobs()
        assert one.result()["made"] + other.result()["made"] == 2
    paths = [path for run in (first, second) for path in run.rows[0].record.paths]
    names = {path.rpartition("/")[2] for path in paths}
    assert len(names) == 2
    assert "fox.mp4" in names
    assert {file.name for file in batch.folder.glob("*.mp4")} == names


def test_name_that_another_row_has_claimed_is_not_used_even_before_its_file_is_there(sim, batch):
    """As where two tables move their files in the same moment, and neither sees the other's."""
    assert journal_of(batch).claim_file_name("fox.mp4", "another")
    batch(fox("new"), plan=BY_ID)
    [job] = sim.submitted()
    [file] = batch.folder.glob("*.mp4")
    assert file.name == f"fox-{split_job_id(job.id).number}.mp4"


@pytest.mark.pixverse_simulator(job_seconds=(3600, 3600))
def test_name_with_a_number_may_be_that_of_another_row_too(sim, batch):
    with running(batch.new_run(fox("new"), plan=BY_ID)) as run:
        sim.wait_for_submitted(1)
        number = split_job_id(sim.submitted()[0].id).number
        journal = journal_of(batch)
        journal.claim_file_name("fox.mp4", "another")
        journal.claim_file_name(f"fox-{number}.mp4", "a third")
        sim.end_all_jobs()
        assert run.result()["made"] == 1
    assert [file.name for file in batch.folder.glob("*.mp4")] == [f"fox-{number}-{number}.mp4"]


def test_claim_is_the_rows_own_in_its_next_try_until_another_row_claims_the_name(batch):
    journal = journal_of(batch)
    assert [journal.claim_file_name("fox.mp4", row) for row in ("a", "a", "b", "a")] == [
        True,
        True,
        False,
        False,  # it cannot know whether the other has listed the claims before its own was there
    ]
    assert journal.claim_file_name("owl.mp4", "b")
    assert not journal.claim_file_name("OWL.mp4", "a")


def test_claims_are_no_records(batch):
    journal = journal_of(batch)
    journal.claim_file_name("fox.mp4", "a")
    assert journal.read_all() == {}


@pytest.mark.parametrize("field", ["{key}", "{number}"])
def test_row_keeps_its_name_where_that_has_its_key_or_the_number_of_its_job(sim, batch, field):
    """A second download, as after a kill, replaces the first."""
    plan = {"file_name": f"{{id}}-{field}.{{ext}}"}
    batch(fox("old"), plan=plan)
    [stored] = batch.records("stored")
    stored.unlink()
    (batch.folder / "campaign.csv").unlink()
    batch(fox("old"), run="another", plan=plan)
    assert len(list(batch.folder.glob("*.mp4"))) == 1


def test_cell_without_a_value_is_empty_in_a_name(batch, sim):
    batch([{"prompt": "a", "id": None}], plan={"file_name": "{id}{key}.{ext}"})
    [file] = batch.folder.glob("*.mp4")
    assert file.name == f"_{batch.rows[0].key}.mp4"


def test_name_that_comes_out_too_long_is_refused_with_what_it_comes_out_as(batch, sim):
    table = [{"prompt": "a", "a": "x" * 90, "b": "y" * 90}]
    with pytest.raises(AirflowFailException, match=r"file_name comes out as 'xxx.*make it shorter"):
        batch(table, plan={"file_name": "{a}-{b}.{ext}"})


def test_key_that_names_no_column_is_named(batch, sim):
    with pytest.raises(AirflowFailException, match="key: the table has no column 'idd'"):
        batch(fox("a"), plan={"key": "{idd}"})


@pytest.mark.parametrize("name", ["../{key}.{ext}", "a/../{id}.{ext}", "/{key}.{ext}", "{key!r}.{ext}"])
def test_path_that_leaves_the_folder_is_refused_when_the_dag_is_parsed(name):
    with pytest.raises(ValueError, match=r"file_name must be the name of a file.*\{key\}"):
        parse_batch_file_name(name)


@pytest.mark.parametrize("name", ["{key}.{ext}", "a/{id}-{number:>012}.{ext}", "{{x}}-{key}.{type}"])
def test_name_below_the_folder_is_taken_as_it_is(name):
    assert parse_batch_file_name(name) == name
