"""The first steps of a flight tick themselves off, and say what is waited for."""

from __future__ import annotations

from gps_denied_onboard.runtime_root.first_steps import FirstSteps


def test_steps_tick_once_and_stay() -> None:
    """A step that came stays ticked, the list changes only with a new one, and ends when all have come."""
    steps = FirstSteps(("map", "pictures", "heartbeat of system 1"))
    assert steps.tick(True)
    assert not steps.tick(True, False)
    told = steps.shown("waiting for a heartbeat of system 1")
    assert told == "[x] map  [ ] pictures  [ ] heartbeat of system 1  (waiting for a heartbeat of system 1)"
    assert steps.tick(False, True, True)
    assert steps.complete
    assert steps.shown("x") == "[x] map  [x] pictures  [x] heartbeat of system 1"
