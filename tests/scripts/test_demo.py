"""`make demo`."""

from tests.scripts.command import Command


def test_it_waits_for_a_slot_and_lists_what_executes():
    with Command("scripts.demo") as demo:
        assert demo.wait() == 0, demo.output
    assert "0 slots free" in demo.output
    waited, listed = demo.output.split("The operator listed what was executing")
    assert "team-2@example.com" in waited
    assert [line.split()[-1] for line in listed.splitlines() if "shot-" in line] == [
        "shot-2",
        "shot-3",
        "shot-4",
    ]


def test_ctrl_c_stops_it():
    with Command("scripts.demo") as demo:
        demo.read_until("slots free")
        demo.ctrl_c()
        assert demo.wait() == 130
    assert demo.output.endswith("\nStopping ...\n")
    assert "Traceback" not in demo.output
