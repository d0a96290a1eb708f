"""Repeated alerts do not fill the radio link."""

from __future__ import annotations

import pytest

from gps_denied_onboard.live.alert_limiter import AlertLimiter
from gps_denied_onboard.messages import Alert

SECOND = 1_000_000_000


@pytest.mark.parametrize(("severity", "sent"), [(0, 10), (3, 10), (4, 5), (5, 5), (6, 2), (7, 2), (99, 2), (-1, 10)])
def test_the_same_alert_ten_times_a_second(severity: int, sent: int) -> None:
    """In ten seconds an alert gets through as often as its severity deserves."""
    gate = AlertLimiter()
    passed = [
        gate.allows(Alert(k * SECOND // 10, severity, f"position withheld from autopilot: {k}")) for k in range(100)
    ]
    assert sum(passed) == sent
    assert passed[0]
    assert gate.held_back == 100 - sent


def test_different_alerts_do_not_hold_each_other_back() -> None:
    """A change of the label and the answer to a hint both go out at once."""
    gate = AlertLimiter()
    texts = [
        "position is dead_reckoned",
        "position is satellite_anchored",
        "RELOC taken: 48.1,37.2,300",
        "RELOC refused: x",
    ]
    assert all(gate.allows(Alert(SECOND, 5, text)) for text in texts)


def test_memory_is_bounded_and_a_clock_that_runs_back_blocks_nothing() -> None:
    """Thousands of different texts are all told; an alert from before is not held for ever."""
    gate = AlertLimiter()
    assert all(gate.allows(Alert(k, 6, f"{k:06d}")) for k in range(5000))
    assert gate.allows(Alert(100 * SECOND, 6, "again"))
    assert gate.allows(Alert(0, 6, "again"))
