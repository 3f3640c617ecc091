"""Inputs of a table: uploaded once, from no place but their folder, on the simulator."""

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, ObjectStoragePath

from airflow_pixverse.simulator import faults
from airflow_pixverse.storage import upload
from airflow_pixverse.storage.paths import object_path
from tests.unit.batch.conftest import paid, posts, prompts, running

pytestmark = pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.4))


def test_row_without_its_input_is_refused_before_anything_is_sent_for_it(sim, batch, tmp_path):
    (tmp_path / "there.png").write_bytes(b"\x89PNG")
    rows = [{"prompt": name, "frame": f"{name}.png"} for name in ("there", "missing")]
    payload = {"prompt": "{prompt}", "first_frame_path": "{frame}"}
    with pytest.raises(AirflowFailException, match=r"missing\.png cannot be read"):
        batch(rows, payload=payload, plan={"input_folder": tmp_path.as_uri()})
    assert paid(sim) == ["there"]


def test_input_of_several_rows_is_uploaded_once(sim, batch, tmp_path):
    (tmp_path / "frame.png").write_bytes(b"\x89PNG")
    rows = [{"prompt": f"cat {number}", "frame": "frame.png"} for number in range(4)]
    payload = {"prompt": "{prompt}", "first_frame_path": "{frame}"}
    batch(rows, payload=payload, plan={"input_folder": tmp_path.as_uri()})
    assert len(sim.uploads) == 1
    assert len(sim.submitted()) == 4


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "a/../../b.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "s3://b/a.png",
        "a::b",
        "a\\..\\b",
        " .. /a",
    ],
)
def test_input_outside_the_folder_is_refused(sim, batch, tmp_path, name):
    payload = {"prompt": "{prompt}", "first_frame_path": "{frame}"}
    plan = {"input_folder": f"{tmp_path.as_uri()}/inputs"}
    with pytest.raises(
        AirflowFailException, match="first_frame_path must be the name of a file in input_folder"
    ):
        batch([{"prompt": "a", "frame": name}], payload=payload, plan=plan)
    assert posts(sim) == []


@pytest.mark.parametrize("as_json", [True, False])
def test_input_that_a_function_names_has_to_be_in_the_folder(sim, batch, tmp_path, as_json):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"\x89PNG")

    def payload(row):
        outside = f"{tmp_path.as_uri()}/inputs/../secret.png"
        path = secret.as_uri() if as_json else ObjectStoragePath(outside)
        made = {"prompt": row["prompt"], "first_frame_path": path}
        return json.dumps(made) if as_json else made

    with pytest.raises(AirflowFailException, match="input_folder"):
        batch(prompts(1), payload=payload, plan={"input_folder": f"{tmp_path.as_uri()}/inputs"})
    assert sim.uploads == posts(sim) == []


def test_input_of_no_known_kind_is_refused(sim, batch, tmp_path):
    (tmp_path / "frame.txt").write_text("no picture")
    payload = {"prompt": "{prompt}", "first_frame_path": "frame.txt"}
    with pytest.raises(AirflowFailException, match="which kind of image, video or sound it is"):
        batch(prompts(1), payload=payload, plan={"input_folder": tmp_path.as_uri()})
    assert batch.statuses == ["refused"]


def test_token_that_is_refused_at_an_upload_leaves_the_row_to_a_retry(sim, batch, tmp_path):
    (tmp_path / "frame.png").write_bytes(b"\x89PNG")
    sim.inject(faults.status(401), times=None, path="files")
    payload = {"prompt": "{prompt}", "first_frame_path": "frame.png"}
    with pytest.raises(AirflowException, match="A retry goes on") as raised:
        batch(prompts(1), payload=payload, plan={"input_folder": tmp_path.as_uri()})
    assert not isinstance(raised.value, AirflowFailException)


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 2, "b@example.com": 2}, job_seconds=(0.1, 0.1))
def test_account_that_takes_no_upload_bars_no_account_from_other_rows(sim, batch, tmp_path, short_pauses):
    (tmp_path / "frame.png").write_bytes(b"\x89PNG")
    sim.inject(faults.status(596), times=None, path="files")
    rows = [{"prompt": "with a frame", "frame": "frame.png"}, *({"prompt": n, "frame": ""} for n in "abcd")]
    payload = {"prompt": "{prompt}", "first_frame_path": "{frame}"}
    with pytest.raises(AirflowException, match="596") as raised:
        batch(rows, payload=payload, plan={"input_folder": tmp_path.as_uri()})
    assert not isinstance(raised.value, AirflowFailException)
    assert batch.statuses == ["waiting"] + ["stored"] * 4


def test_kill_while_inputs_are_uploaded_submits_nothing_more(sim, batch, tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG" + bytes([number]))
    rows = [{"prompt": f"cat {number}", "frame": f"{number}.png"} for number in range(4)]
    sim.inject(faults.hold(), times=None, path="files")
    payload = {"prompt": "{prompt}", "first_frame_path": "{frame}"}
    run = batch.new_run(rows, payload=payload, plan={"input_folder": tmp_path.as_uri()})
    with running(run) as future:
        sim.wait_for_held(1)
        run.kill()
        sim.clear_faults()
        sim.release()
        with pytest.raises(AirflowException, match="ended from outside"):
            future.result()
    assert [one for one in posts(sim) if "create" in one.path] == []


def test_upload_asks_airflow_for_nothing_beside_other_threads(sim, batch, tmp_path, monkeypatch):
    """Not every version of Airflow lets two threads ask at once."""
    (tmp_path / "frame.png").write_bytes(b"\x89PNG")
    runs, is_locked = [], []

    def get_path(uri):
        is_locked.append(runs[0]._airflow.locked())
        return object_path(uri)

    monkeypatch.setattr(upload, "object_path", get_path)
    payload = {"prompt": "{prompt}", "first_frame_path": "frame.png"}
    runs.append(batch.new_run(prompts(1), payload=payload, plan={"input_folder": tmp_path.as_uri()}))
    assert runs[0].run()["made"] == 1
    assert set(is_locked) == {True}
