"""A source whose own clock of pictures has stopped is noticed; one without a clock is not."""

from __future__ import annotations

import math

import pytest

from gps_denied_onboard.frames.camera import SourceClock


@pytest.mark.parametrize(
    ("stamps_ms", "stands"),
    [
        ([40.0, 80.0, 120.0, 120.0, 120.0], [False, False, False, True, True]),
        ([40.0, 80.0, 120.0, 120.0, 160.0], [False, False, False, True, False]),
        ([0.0] * 5, [False] * 5),
        ([math.nan] * 5, [False] * 5),
        ([-1.0] * 5, [False] * 5),
        ([40.0] * 5, [False] * 5),
        ([40.0, 80.0, 120.0, 10.0, 10.0], [False] * 5),
        ([40.0, 80.0, 120.0, 0.0, 0.0], [False] * 5),
    ],
)
def test_clock_that_ran_and_stands(stamps_ms: list[float], stands: list[bool]) -> None:
    """Equal stamps count only after the clock has risen three times; restarts and missing stamps do not."""
    clock = SourceClock()
    assert [clock.stands(ms) for ms in stamps_ms] == stands
