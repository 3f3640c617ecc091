"""`make demo`."""

import re

from airflow import __version__ as airflow_version

from tests.scripts.command import Command

ROWS = ("refused submits (429)", "prompts lost", "videos paid for twice")


def test_a_prompt_becomes_a_video_and_thirty_do_without_a_loss():
    with Command("scripts.demo") as demo:
        assert demo.wait() == 0, demo.output
    one, thirty = demo.output.split("Thirty prompts on three slots", 1)
    assert "0 slots free" in one
    assert "The video is at http://127.0.0.1:" in one
    assert re.search(r"and kept at file:///\S+/video-4\.mp4 \(\d+ bytes\)", one)
    assert "XCom" not in one
    if airflow_version.startswith("2."):
        assert "on Airflow 3 only" in thirty
        return
    rows = {name: line.split()[-3:] for line in thirty.splitlines() for name in ROWS if name in line}
    assert rows["prompts lost"][1:] == rows["videos paid for twice"][1:] == ["0", "0"]
    usual, each, batch = map(int, rows["refused submits (429)"])
    assert usual > 5 * max(each, batch)


def test_ctrl_c_stops_it():
    with Command("scripts.demo") as demo:
        demo.read_until("slots free")
        demo.ctrl_c()
        assert demo.wait() == 130
    assert demo.output.endswith("\nStopping ...\n")
    assert "Traceback" not in demo.output
