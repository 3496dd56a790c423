"""The lines of a running terminal: what is new, once."""

from __future__ import annotations

from liqfield.app.narrate import AGAIN_S, Narrator

OFF = "its name cannot be resolved"


def test_a_state_is_said_when_it_changes() -> None:
    narrator = Narrator()
    assert narrator.lines({"gate": "connecting", "okx": "connecting"}, [], "", 0.0) == []
    assert narrator.lines({"gate": OFF, "okx": "running"}, [], "", 1.0) == [
        f"gate: {OFF}",
        "okx: running",
    ]
    assert narrator.lines({"gate": OFF, "okx": "running"}, [], "", 2.0) == []
    assert narrator.lines({"gate": "running", "okx": "running"}, [], "", 3.0) == ["gate: running"]


def test_offline_is_said_with_what_to_do_once() -> None:
    narrator = Narrator()
    said = narrator.lines({"gate": OFF, "okx": OFF}, [], "", 0.0)
    assert said[:2] == [f"gate: {OFF}", f"okx: {OFF}"]
    assert "liqfield doctor" in said[2]
    assert narrator.lines({"gate": OFF, "okx": OFF}, [], "", 60.0) == []


def test_progress_counts_on_seldom_and_problems_are_told_once() -> None:
    narrator = Narrator()
    states = {"gate": "running"}
    narrator.lines(states, [], "", 0.0)
    assert narrator.lines(states, [], "back-fill gate: 1 of 9", 1.0) == ["back-fill gate: 1 of 9"]
    assert narrator.lines(states, ["disk full"], "back-fill gate: 2 of 9", 2.0) == ["disk full"]
    late = 1.0 + AGAIN_S
    assert narrator.lines(states, ["disk full"], "back-fill gate: 8 of 9", late) == [
        "back-fill gate: 8 of 9"
    ]
    assert narrator.lines(states, [], "imported history: 1 of 2", late) == [
        "imported history: 1 of 2"
    ]
