"""GPS week time of UTC, with leap seconds."""

from __future__ import annotations

import pytest

from gps_denied_onboard.autopilot.gps_time import week_and_ms
from gps_denied_onboard.recorder.meta import unix_ns_from_iso

WEEK_MS = 604_800_000


@pytest.mark.parametrize(
    ("utc", "week", "ms"),
    [
        ("2019-04-06T23:59:42Z", 2048, 0),  # the second 10-bit roll-over, announced for 18 s before midnight UTC
        ("2019-04-06T23:59:41.999Z", 2047, WEEK_MS - 1),
        ("2016-12-31T23:59:59Z", 1930, 16_000),  # 17 s ahead, then a leap second, then 18 s
        ("2017-01-01T00:00:00Z", 1930, 18_000),
        ("2025-07-01T06:00:00Z", 2373, 2 * 86_400_000 + 6 * 3_600_000 + 18_000),
        ("1999-08-21T23:59:47Z", 1024, 0),  # the first roll-over
    ],
)
def test_known_moments(utc: str, week: int, ms: int) -> None:
    """Roll-overs and leap seconds fall where they did."""
    assert week_and_ms(unix_ns_from_iso(utc)) == (week, ms)


@pytest.mark.parametrize("unix_ns", [None, 0, -(10**18), 10**24])
def test_times_that_are_not_known(unix_ns: int | None) -> None:
    """No trusted time, or one that no flight can have, is week 0."""
    assert week_and_ms(unix_ns) == (0, 0)
