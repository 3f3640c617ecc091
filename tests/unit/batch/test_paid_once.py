"""A folder never pays twice for the same row: lost answers, other processes, records that are gone."""

import dataclasses
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_pixverse.batch import loop, submitting
from airflow_pixverse.journal import RecordNotWrittenError, folder
from airflow_pixverse.journal.folder import FolderJournal
from airflow_pixverse.simulator import faults
from airflow_pixverse.storage.errors import StorageError
from airflow_pixverse.storage.paths import object_path
from airflow_pixverse.submission import lost_jobs
from airflow_pixverse.submission.lost_jobs import LookTiming
from tests.unit.batch.conftest import Batch, leave_unknown, paid, posts, prompts, running

pytestmark = [
    pytest.mark.pixverse_simulator(job_seconds=(0.3, 0.5)),
    pytest.mark.usefixtures("short_pauses"),
]
without_end = pytest.mark.pixverse_simulator(job_seconds=(600, 600))


def refuse_to_write(state, monkeypatch):
    """Let the folder take no records of a state."""
    write = FolderJournal.write

    def fail(journal, row, record):
        if record.state == state:
            raise RecordNotWrittenError("full")
        write(journal, row, record)

    monkeypatch.setattr(FolderJournal, "write", fail)


# Lost answers


def test_answers_that_are_lost_after_the_submit_are_found(sim, batch):
    sim.inject(faults.lost_answer(), times=None, method="POST")
    assert batch(prompts(*range(4)))["made"] == 4
    assert paid(sim) == [f"cat {number}" for number in range(4)]


def test_submit_that_never_arrived_is_sent_again(sim, batch):
    sim.inject(faults.lost_request(), times=1, method="POST")
    assert batch(prompts(1))["made"] == 1
    assert len(posts(sim)) == 2


def test_second_submit_in_a_row_that_is_lost_is_unknown(sim, batch):
    sim.inject(faults.lost_request(), times=None, method="POST")
    with pytest.raises(AirflowFailException, match="It cannot be known whether PixVerse accepted"):
        batch(prompts(1))
    assert batch.statuses == ["unknown"]
    assert len(posts(sim)) == 2


def test_look_for_a_lost_job_takes_the_snapshots_of_the_loop(sim, batch):
    """They are no more than one an interval, which is longer here than a look waits by itself."""
    sim.inject(faults.lost_request(), times=3, method="POST")
    batch(prompts(1, 2, 3), poke_interval=0.4)
    looks = [one.monotonic for one in sim.requests if one.path.endswith("scheduler/available")]
    assert len(looks) <= 2 + (looks[-1] - looks[0]) / 0.4


def test_answer_that_is_lost_is_found_however_long_the_interval_is(sim, batch, monkeypatch):
    monkeypatch.setattr(loop, "_LONGEST_GAP", 0.2)
    monkeypatch.setattr(lost_jobs, "TIMING", LookTiming(look_for=3.0, every=0.1, longest_gap=2.5))
    sim.inject(faults.lost_request(), times=1, method="POST")
    assert batch(prompts(1), poke_interval=5.0)["made"] == 1


def test_unknown_submit_that_cannot_be_recorded_is_not_sent_again(sim, batch, monkeypatch):
    """Then the record says that it is being sent, which is no reason to send it once more."""
    refuse_to_write("unknown", monkeypatch)
    sim.inject(faults.lost_request(code=200, body={}), times=1, method="POST")
    with pytest.raises(AirflowFailException):
        batch(prompts(1))
    assert batch.statuses == ["unknown"]
    assert len(posts(sim)) == 1


def test_submit_of_a_dead_process_that_cannot_be_recorded_as_unknown_is_looked_for_once(
    sim, batch, monkeypatch
):
    batch(prompts(1))
    for record in [*batch.records("stored"), *batch.records("accepted"), batch.folder / "campaign.csv"]:
        record.unlink()
    sim.respond_with("videos/", {"data": []})
    refuse_to_write("unknown", monkeypatch)
    with pytest.raises(AirflowFailException, match="ended before it knew"):
        batch(prompts(1), run="another")
    assert batch.statuses == ["unknown"]
    assert len(posts(sim)) == 1


def test_job_that_is_found_and_cannot_be_recorded_is_followed(sim, batch, monkeypatch):
    batch(prompts(1))
    for record in [*batch.records("stored"), *batch.records("accepted"), batch.folder / "campaign.csv"]:
        record.unlink()
    refuse_to_write("accepted", monkeypatch)
    assert batch(prompts(1), run="another")["made"] == 1
    assert len(posts(sim)) == 1


# Rows of which nobody knows


def test_unknown_row_whose_job_is_found_later_is_brought_home(sim, batch):
    leave_unknown(sim, batch)
    [record] = batch.records("unknown")
    reference = json.loads(record.read_text())["reference"]
    job = sim.start_job(reply_ref=reference)
    again = batch.new_run(prompts(1), run="another")
    with running(again) as future:
        batch.wait_for_record("accepted")
        sim.end_job(job)
        assert future.result()["made"] == 1
    assert len(posts(sim)) == 1


def test_record_that_another_process_has_written_stays(batch, sim):
    batch(prompts(1))
    [stored] = batch.records("stored")
    before = stored.read_text()
    row = batch.rows[0]
    journal = FolderJournal(object_path(batch.folder.as_uri()))
    journal.write(row.key, dataclasses.replace(row.record, reason="written later"))
    assert stored.read_text() == before


@without_end
def test_unknown_row_is_left_alone_until_it_is_remade_by_name(sim, batch):
    sim.inject(faults.lost_request(code=200, body={}), times=1, method="POST")
    for run in ("run", "another"):
        with pytest.raises(AirflowFailException):
            batch(prompts(1), run=run)
    assert len(posts(sim)) == 1
    again = batch.new_run(prompts(1), run="third", remake=frozenset({"unknown"}))
    with running(again) as future:
        sim.wait_for_submitted(1)
        sim.end_all_jobs()
        assert future.result()["made"] == 1


@pytest.mark.parametrize("is_paid", [True, False])
def test_row_that_was_being_sent_is_looked_for(sim, batch, is_paid):
    """The process ended between its record and what it learned."""
    batch(prompts(1))
    for record in batch.records("stored"):
        record.unlink()
    [accepted] = batch.records("accepted")
    accepted.unlink()
    (batch.folder / "campaign.csv").unlink()
    if not is_paid:
        sim.respond_with("videos/", {"data": []})
    run = batch.new_run(prompts(1), run="another")
    if is_paid:
        assert run.run()["made"] == 1
    else:
        with pytest.raises(AirflowFailException):
            run.run()
        assert batch.statuses == ["unknown"]
    assert len(posts(sim)) == 1


def test_row_that_was_being_sent_and_cannot_be_looked_for_is_unknown(sim, batch):
    batch(prompts(1))
    for record in [*batch.records("stored"), *batch.records("accepted"), batch.folder / "campaign.csv"]:
        record.unlink()
    sim.inject(faults.status(596), times=None, method="GET", path="videos/")
    with pytest.raises(AirflowFailException, match=r"and it cannot be looked for: .*596"):
        batch(prompts(1), run="another")
    assert batch.statuses == ["unknown"]
    sim.clear_faults()
    assert batch(prompts(1), run="third")["counts"]["stored"] == 1
    assert len(posts(sim)) == 1


# Other processes


@without_end
def test_job_that_another_process_has_submitted_is_followed_too(sim, batch):
    first = batch.new_run(prompts(1))
    with running(first) as one:
        sim.wait_for_submitted(1)
        while not batch.records("accepted"):
            time.sleep(0.01)
        other = Batch(batch.folder)
        second = other.new_run(prompts(1), run="another")
        with running(second) as two:
            sim.wait_for_requests(sim.request_count + 4)
            sim.end_all_jobs()
            assert one.result()["counts"]["stored"] == two.result()["counts"]["stored"] == 1
    assert len(posts(sim)) == 1


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 4}, job_seconds=(0.1, 0.2))
def test_two_processes_on_one_folder_pay_for_each_row_once(sim, batch):
    table = prompts(*range(12))
    runs = [Batch(batch.folder).new_run(table, run=f"run {number}") for number in range(2)]
    with ThreadPoolExecutor(2) as threads:
        counts = [future.result()["counts"] for future in [threads.submit(run.run) for run in runs]]
    assert [one["stored"] for one in counts] == [12, 12]
    assert paid(sim) == sorted(row["prompt"] for row in table)


# Records that are gone, or cannot be read


def test_row_of_which_only_the_manifest_knows_is_unknown(sim, batch):
    batch(prompts(1, 2))
    shutil.rmtree(batch.folder / ".pixverse")
    with pytest.raises(AirflowFailException, match=r"Its records are gone from .*remove its line there"):
        batch(prompts(1, 2, 3), run="another")
    assert batch.statuses == ["unknown", "unknown", "stored"]
    assert len(posts(sim)) == 3


def test_row_of_which_only_a_refused_attempt_is_left_is_unknown(sim, batch):
    """The manifest names its job, and goes on to do so."""
    sim.inject(faults.rate_limit(), times=1, method="POST")
    batch(prompts(1))
    [record] = batch.records("stored")
    for one in batch.folder.glob(f"{record.relative_to(batch.folder).with_suffix('')}.*"):
        one.unlink()
    for run in ("another", "third"):
        with pytest.raises(AirflowFailException, match=r"Its records are gone from"):
            batch(prompts(1), run=run)
    assert batch.statuses == ["unknown"]
    [job] = sim.submitted()
    assert job.id in (batch.folder / "campaign.csv").read_text()
    assert len(posts(sim)) == 2


@pytest.mark.parametrize("remake", [frozenset(), frozenset({"failed"})])
def test_unknown_row_whose_record_is_gone_stays_unknown_beside_an_earlier_attempt(sim, batch, remake):
    """The manifest names no job then, and the attempt that is left is no reason not to submit."""
    if remake:
        sim.set_fate("cat 1", "failed")
        batch(prompts(1), fail_on="none")
    else:
        sim.inject(faults.rate_limit(), times=1, method="POST")
    sim.inject(faults.lost_request(code=200, body={}), times=1, method="POST")
    with pytest.raises(AirflowFailException):
        batch(prompts(1), run="second", remake=remake)
    assert batch.statuses == ["unknown"]
    [record] = batch.records("unknown")
    for one in batch.folder.glob(f"{record.relative_to(batch.folder).with_suffix('')}.*"):
        one.unlink()
    for run in ("third", "fourth"):
        with pytest.raises(AirflowFailException, match=r"Its records are gone from"):
            batch(prompts(1), run=run, remake=remake)
    assert batch.statuses == ["unknown"]
    assert len(posts(sim)) == 2


def test_unknown_row_that_was_not_accepted_after_all_is_submitted(sim, batch):
    """Another process knew more than the one that wrote the manifest."""
    sim.inject(faults.lost_request(code=200, body={}), times=1, method="POST")
    with pytest.raises(AirflowFailException):
        batch(prompts(1))
    [row] = batch.rows
    journal = FolderJournal(object_path(batch.folder.as_uri()))
    journal.write(row.key, dataclasses.replace(row.record, state="not accepted"))
    assert batch(prompts(1), run="another")["made"] == 1


def test_row_that_another_process_makes_while_the_folder_is_read_is_followed(sim, batch, monkeypatch):
    read_all = FolderJournal.read_all

    def read_before_the_other(journal):
        records = read_all(journal)
        monkeypatch.undo()
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))
        Batch(batch.folder)(prompts(1), run="other")
        return records

    monkeypatch.setattr(FolderJournal, "read_all", read_before_the_other)
    assert batch(prompts(1))["counts"]["stored"] == 1
    assert len(posts(sim)) == 1


def test_refusal_that_cannot_be_recorded_at_once_leaves_the_row_to_the_next_try(sim, batch, monkeypatch):
    write, failures = FolderJournal.write, []

    def fail_once(journal, row, record):
        if record.state == "not accepted" and not failures:
            failures.append(record)
            raise RecordNotWrittenError("SlowDown")
        write(journal, row, record)

    monkeypatch.setattr(FolderJournal, "write", fail_once)
    sim.inject(faults.status(429), times=1, method="POST")
    with pytest.raises(AirflowException, match="refused 1 times in a row"):
        batch(prompts(1), limits={"max_refusals": 0})
    assert failures
    assert batch(prompts(1))["made"] == 1


def test_job_that_is_found_is_followed_although_other_records_cannot_be_read(sim, batch, monkeypatch):
    batch(prompts(1))
    for state in ("accepted", "stored"):
        [record] = batch.records(state)
        record.unlink()
    (batch.folder / "campaign.csv").unlink()

    def fail(*_):
        raise StorageError("SlowDown")

    monkeypatch.setattr(FolderJournal, "read_row", fail)
    assert batch(prompts(1), run="another")["made"] == 1
    assert len(posts(sim)) == 1


def test_record_that_only_the_index_has_counts(sim, batch, monkeypatch, caplog):
    monkeypatch.setattr(folder, "_MOST_AHEAD", 1)
    batch(prompts(1, 2))
    assert (batch.folder / ".pixverse/index.json").exists()
    for record in batch.records():
        record.unlink()
    (batch.folder / "campaign.csv").unlink()
    summary = batch(prompts(1, 2), run="another")
    assert (summary["made"], summary["counts"]["stored"]) == (0, 2)
    assert "records are gone from" in caplog.text
    assert len(posts(sim)) == 2


def test_half_of_the_records_gone_pays_for_nothing_twice(sim, batch):
    batch(prompts(*range(10)))
    for record in batch.records()[::2]:
        record.unlink()
    assert batch(prompts(*range(10)), run="another")["counts"]["stored"] == 10
    assert len(posts(sim)) == 10


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "stored"}'])
def test_record_that_cannot_be_understood_stops_the_batch_before_any_submit(sim, batch, text):
    batch(prompts(1))
    [record] = batch.records("stored")
    record.write_text(text)
    with pytest.raises(Exception, match="cannot be understood"):
        batch(prompts(1, 2), run="another")
    assert len(posts(sim)) == 1


def test_record_that_cannot_be_written_leaves_the_row_to_a_retry(sim, batch, monkeypatch):
    monkeypatch.setattr(submitting, "_MOST_SETBACKS", 2)

    def fail(*_):
        raise OSError("full")

    monkeypatch.setattr(FolderJournal, "_write_object", fail)
    with pytest.raises(AirflowException, match=r"could not be written.*A retry goes on") as raised:
        batch(prompts(1))
    assert not isinstance(raised.value, AirflowFailException)
    assert posts(sim) == []


def test_result_that_is_not_stored_is_brought_home_by_a_retry(sim, batch):
    sim.inject(faults.status(404), times=None, path=".mp4")
    with pytest.raises(AirflowException, match="A retry goes on"):
        batch(prompts(1))
    sim.clear_faults()
    assert batch(prompts(1))["made"] == 1
    assert len(posts(sim)) == 1
