"""GPS week time of UTC; pure. UTC comes from a trusted clock or a recording, never from a GPS receiver in flight."""

from __future__ import annotations

GPS_EPOCH_UNIX_S = 315_964_800
WEEK_MS = 7 * 24 * 3600 * 1000
NANOSECONDS_PER_MS = 1_000_000

# Unix seconds from which GPS is ahead of UTC by the given leap seconds (IERS Bulletin C; none is announced after 2017).
LEAP_SECONDS: tuple[tuple[int, int], ...] = (
    (1_483_228_800, 18),
    (1_435_708_800, 17),
    (1_341_100_800, 16),
    (1_230_768_000, 15),
    (1_136_073_600, 14),
    (915_148_800, 13),
)


def leap_seconds(unix_s: int) -> int | None:
    """GPS time minus UTC at a Unix time; None before 1999, when no such flight took place."""
    for since, seconds in LEAP_SECONDS:
        if unix_s >= since:
            return seconds
    return None


def week_and_ms(unix_ns: int | None) -> tuple[int, int]:
    """GPS week and milliseconds of it for UTC nanoseconds since 1970; (0, 0) where the time is not known."""
    if unix_ns is None:
        return 0, 0
    ahead_s = leap_seconds(unix_ns // 1_000_000_000)
    if ahead_s is None:
        return 0, 0
    gps_ms = unix_ns // NANOSECONDS_PER_MS - GPS_EPOCH_UNIX_S * 1000 + ahead_s * 1000
    week, ms = divmod(gps_ms, WEEK_MS)
    return (week, ms) if week <= 0xFFFF else (0, 0)
