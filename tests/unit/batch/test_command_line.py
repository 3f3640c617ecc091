"""`python -m airflow_pixverse.batch`: what a folder remembers, and how it forgets."""

import pytest

from airflow_pixverse.batch.__main__ import main
from tests.unit.batch.conftest import leave_unknown, posts, prompts

pytestmark = [
    pytest.mark.pixverse_simulator(job_seconds=(0.1, 0.2)),
    pytest.mark.usefixtures("short_pauses"),
]


@pytest.fixture
def unknown_row(sim, batch):
    """The key of a row of which nobody knows whether it is paid for, beside one that is made."""
    leave_unknown(sim, batch)
    batch(prompts(2))
    return batch.runs[0].rows[0].key


def test_show_prints_each_row_with_its_state(batch, unknown_row, capsys):
    assert main(["show", batch.folder.as_uri()]) == 0
    printed = capsys.readouterr().out
    assert f"{unknown_row}  unknown" in printed
    assert f"{batch.rows[0].key}  stored" in printed
    assert printed.endswith(("2 rows: 1 unknown, 1 stored\n", "2 rows: 1 stored, 1 unknown\n"))


def test_show_with_a_state_prints_only_such_rows(batch, unknown_row, capsys):
    main(["show", batch.folder.as_uri(), "--state", "unknown"])
    assert batch.rows[0].key not in capsys.readouterr().out


def test_forget_says_what_it_would_do_and_does_nothing(sim, batch, unknown_row, capsys):
    before = batch.records()
    assert main(["forget", batch.folder.as_uri(), unknown_row]) == 0
    assert "would be forgotten" in capsys.readouterr().out
    assert batch.records() == before


def test_forget_with_yes_lets_the_next_run_make_the_row(sim, batch, unknown_row, capsys):
    before = batch.records()
    assert main(["forget", batch.folder.as_uri(), unknown_row, "--yes"]) == 0
    assert set(batch.records()) >= set(before)  # nothing is deleted
    sent = len(posts(sim))
    assert batch(prompts(1, 2), run="another")["made"] == 1
    assert len(posts(sim)) == sent + 1


def test_forget_of_a_row_that_is_not_there_changes_nothing(batch, unknown_row, capsys):
    before = batch.records()
    assert main(["forget", batch.folder.as_uri(), unknown_row, "nothing", "--yes"]) == 1
    assert "remembers no row nothing" in capsys.readouterr().err
    assert batch.records() == before


def test_folder_that_is_no_address_is_named(capsys):
    assert main(["show", "campaign"]) == 1
    assert "folder must be a path such as s3://bucket/folder/" in capsys.readouterr().err
